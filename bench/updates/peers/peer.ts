import type { LinkConditions } from '../../link/emulated-link.ts';
import type { Pair } from '../pairs.ts';

/** What brings an update over a link. */
export type Peer = {
  name: string;
  /** Pairs that it has an advantage from, or all. */
  takes: (pair: Pair) => boolean;
  /**
   * Brings the old image, then the new one over the link.
   * @param source `host:port` of a registry that has the pair
   * @param folder empty
   */
  update: (source: string, pair: Pair, folder: string, openLink: OpenLink) => Promise<Measured>;
};

/** Opens a link to a registry, which is fast until it is limited. @param target `host:port` */
export type OpenLink = (target: string) => Promise<Link>;

export type Link = AsyncDisposable & {
  /** `host:port` of the registry beyond the link. */
  readonly host: string;
  /** Does some work. @returns the bytes that crossed meanwhile, both ways together */
  bytesOf(work: () => Promise<unknown>): Promise<number>;
  /** From now on, the link has its rate and delay. @returns its rate in bytes a second, if it has one */
  limit(): Promise<number | undefined>;
};

export type LinkLimits = Omit<LinkConditions, 'congestion'>;

/** Of the new image alone: bytes over the link, both ways, with all headers; seconds until it was there. */
export type Measured = { bytes: number; seconds: number };
