import type { Static } from '@sinclair/typebox';
import type { locateArriving } from '#proto/content/arriving.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { ByteReader, Volume } from '#proto/volume/volume.ts';
import type { ByteRange } from '../http/ranges.ts';
import { ArrivingChunks, CheckedBytes } from './arriving-chunks.ts';

/** Max places in the cache. */
const MAX_CACHED = 100;
/** Max age of a place in the cache, in ms: a client may poll ten times a second. */
const MAX_AGE_MS = 1_000;
/** Min time between reads of a log by all requests that wait for more of it, in ms. */
const MIN_READ_INTERVAL_MS = 90;

export type ArrivingPlace = Static<typeof locateArriving.reply>;
/** Asks storage for the place. @throws Fault `blob-unknown` */
export type LocateArriving = (repository: Repository, digest: Digest) => Promise<ArrivingPlace>;
type CachedPlace = { place: ArrivingPlace; until: number; chunks: ArrivingChunks };

/** Bytes that have arrived: `range` of `size` bytes in all. */
export type ArrivedBytes = { size: number; range: ByteRange; file: ByteReader } & AsyncDisposable;

/** Reads content that is arriving from the parent, blobs or deltas, as far as it has arrived. */
export class ArrivingReader {
  readonly #locateContent: LocateArriving;
  readonly #volume: Volume;
  readonly #cache = new BoundedMap<CachedPlace>(MAX_CACHED);

  constructor(locate: LocateArriving, volume: Volume) {
    this.#locateContent = locate;
    this.#volume = volume;
  }

  /**
   * Opens the part of the range that has arrived, from its first byte on. Content that has been committed meanwhile is
   * complete.
   * @param rangeOf the requested range, given the size in bytes
   * @param isRetry a repeated call, after nothing had arrived: the last read of the log by another request is enough
   * @returns undefined if nothing of the range has arrived
   * @throws Fault `blob-unknown` if no transfer brings it, `range-invalid`
   */
  async open(
    repository: Repository,
    digest: Digest,
    rangeOf: (size: number) => ByteRange,
    isRetry = false,
  ): Promise<ArrivedBytes | undefined> {
    const { place, chunks, fresh } = await this.#locate(repository, digest);
    const { size } = place;
    const range = rangeOf(size);
    if (!place.incomplete) {
      const file = await this.#volume.openBlob(place);
      return file && { size, range, file, [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() };
    }
    if (isRetry && performance.now() - chunks.readAt < MIN_READ_INTERVAL_MS && !chunks.at(range.first))
      return undefined;
    const opened = await this.#volume.openArriving(place);
    if (!opened) {
      // It may be committed by now, or abandoned.
      const wasCached = this.#cache.delete(keyOf(repository, digest)) && !fresh;
      return wasCached ? this.open(repository, digest, rangeOf) : undefined;
    }
    try {
      await chunks.refresh(opened.log);
      const file = new CheckedBytes(opened.data, chunks);
      if (await file.holds(range.first)) {
        const last = chunks.reach(range.first, range.last + 1) - 1;
        const dispose = () => opened[Symbol.asyncDispose]();
        if (last >= range.first)
          return { size, range: { ...range, last }, file, [Symbol.asyncDispose]: dispose };
      }
    } catch (error) {
      await opened[Symbol.asyncDispose]();
      throw error;
    }
    await opened[Symbol.asyncDispose]();
    return undefined;
  }

  async #locate(repository: Repository, digest: Digest): Promise<CachedPlace & { fresh: boolean }> {
    const key = keyOf(repository, digest);
    const cached = this.#cache.get(key);
    const now = performance.now();
    if (cached && now < cached.until) return { ...cached, fresh: false };
    this.#cache.delete(key);
    const place = await this.#locateContent(repository, digest);
    const chunks = cached?.chunks ?? new ArrivingChunks();
    const entry = { place, chunks, until: now + MAX_AGE_MS };
    if (place.incomplete) this.#cache.set(key, entry);
    return { ...entry, fresh: true };
  }
}

const keyOf = (repository: Repository, digest: Digest): string => `${repository}!${digest}`;
