import type { Pair } from '../pairs.ts';

/** What brings an update over a link. */
export type Peer = {
  name: string;
  /** Pairs that it has an advantage from, or all. */
  takes: (pair: Pair) => boolean;
  /**
   * Brings the old image, then the new one.
   * @param source `host:port` of a registry that has the pair
   * @param folder empty
   */
  update: (source: string, pair: Pair, folder: string) => Promise<Measured>;
};

/** Of the new image alone: bytes over the link, both ways, with all headers; seconds until it was there. */
export type Measured = { bytes: number; seconds: number };
