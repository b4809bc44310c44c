import type { Static } from '@sinclair/typebox';
import type { Bus } from '#proto/bus/bus.ts';
import { locateArriving } from '#proto/content/arriving.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { BlobFile, Volume } from '#proto/volume/volume.ts';
import type { ByteRange } from '../http/ranges.ts';
import { ArrivingChunks, CheckedBytes } from './arriving-chunks.ts';

/** How many are remembered. */
const MAX_KNOWN = 100;
/** For how long the place of what is coming is taken for granted, in ms: somebody may look at it ten times a second. */
const PLACE_MS = 1_000;
/** The log is looked at so seldom by all who wait for more of it together, in ms. */
const SEEN_MS = 90;

type Place = Static<typeof locateArriving.reply>;
type Known = { place: Place; until: number; chunks: ArrivingChunks };

/** Bytes that are there: `[first, last]` of them, and all of them in `size`. */
export type Here = { size: number; range: ByteRange; file: Pick<BlobFile, 'read'> } & AsyncDisposable;

/** Content that is on its way from the parent, as far as it has come. */
export class ArrivingReader {
  readonly #bus: Pick<Bus, 'call'>;
  readonly #volume: Volume;
  readonly #patienceMs: number;
  readonly #known = new Map<string, Known>();

  constructor(bus: Pick<Bus, 'call'>, volume: Volume, patienceMs: number) {
    this.#bus = bus;
    this.#volume = volume;
    this.#patienceMs = patienceMs;
  }

  /**
   * What of the range is there, from its first byte on. Content that is committed meanwhile is there as a whole.
   * @param rangeOf the range that is asked for, of so many bytes in all
   * @param again asked before, and nothing was there: what another request has just seen is enough
   * @returns undefined where nothing of the range is there now
   * @throws Fault `blob-unknown` where nobody brings it, `range-invalid`
   */
  async open(
    repository: Repository,
    digest: Digest,
    rangeOf: (size: number) => ByteRange,
    again = false,
  ): Promise<Here | undefined> {
    const { place, chunks, fresh } = await this.#look(repository, digest);
    const { size } = place;
    const range = rangeOf(size);
    if (!place.coming) {
      const file = await this.#volume.openBlob(place);
      return file && { size, range, file, [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() };
    }
    if (again && performance.now() - chunks.looked < SEEN_MS && !chunks.at(range.first)) return undefined;
    const found = await this.#volume.openArriving(place);
    if (!found) {
      // It may be committed by now, or given up.
      const cache = this.#known.delete(keyOf(repository, digest)) && !fresh;
      return cache ? this.open(repository, digest, rangeOf) : undefined;
    }
    try {
      await chunks.refresh(found.log);
      const file = new CheckedBytes(found.data, chunks);
      if (await file.holds(range.first)) {
        const last = chunks.reach(range.first, range.last + 1) - 1;
        const end = () => found[Symbol.asyncDispose]();
        if (last >= range.first) return { size, range: { ...range, last }, file, [Symbol.asyncDispose]: end };
      }
    } catch (error) {
      await found[Symbol.asyncDispose]();
      throw error;
    }
    await found[Symbol.asyncDispose]();
    return undefined;
  }

  async #look(repository: Repository, digest: Digest): Promise<Known & { fresh: boolean }> {
    const key = keyOf(repository, digest);
    const before = this.#known.get(key);
    const now = performance.now();
    if (before && now < before.until) return { ...before, fresh: false };
    this.#known.delete(key);
    const patience = { patience: this.#patienceMs };
    const place = await this.#bus.call(locateArriving, { repository, digest }, patience);
    const chunks = before?.chunks ?? new ArrivingChunks();
    const known = { place, chunks, until: now + PLACE_MS };
    if (place.coming) this.#known.set(key, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
    return { ...known, fresh: true };
  }
}

const keyOf = (repository: Repository, digest: Digest): string => `${repository}!${digest}`;
