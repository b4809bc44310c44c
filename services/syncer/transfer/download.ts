import { createHash, type Hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import type { Part } from '#proto/content/arriving.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Digest, splitDigest } from '#proto/oci/names.ts';
import { type Extent, Extents } from '../link/answers/extents.ts';
import { type Bandwidth, REQUEST_BYTES } from '../link/bandwidth/bandwidth.ts';
import type { BlobAnswer, Parent } from '../link/parent/parent.ts';
import { type Flight, Flights } from './flights.ts';
import { PieceWriter, type WriterDeps } from './piece-writer.ts';
import { Pieces } from './pieces.ts';
import type { Slots } from './slots.ts';

/** How often what was written goes to the platter, so that a power cut loses little. */
const SYNC_MS = 2_000;
/** A request that brought less than this before it broke counts as a failure. */
const PROGRESS_BYTES = 64 * 1024;
/** How often connections are looked after that the end of the blob waits for. */
const POLL_MS = 1_000;
/** How long a slot rests whose request brought nothing while others bring something. */
const REST_MS = 1_000;

export type Wanted = { repository: string; digest: Digest; size: number; part?: Part };
/** Where the bytes come from. `inPart`: it may answer with less than was asked for, which is paid for as it comes. */
export type Source = Pick<Parent, 'blob'> & { readonly inPart?: boolean };
export type Means = WriterDeps & {
  parent: Source;
  /** Connections, shared by all transfers of this process. */
  slots: Slots;
  bandwidth: Bandwidth;
  signal: AbortSignal;
};

/**
 * Brings the missing chunks of one blob: several ranged requests at a time, each written at its offset and logged.
 * A request that breaks off after some progress, its own or of the others, goes on where it broke; one that breaks
 * while nothing comes ends the attempt, when the others have finished their chunks.
 *
 * A parent that ignores `Range` is read in sequence by one connection, and what is here already is passed over.
 */
export class Download {
  readonly #wanted: Wanted;
  readonly #deps: Means;
  readonly #present: Extents;
  readonly #pieces: Pieces;
  readonly #flights = new Flights();
  #failure: unknown;
  /** Set where the parent ignores `Range`. */
  #sequential = false;
  /** The digest of what one request brings in order from byte 0; given up at the first byte out of order. */
  #hash: Hash | undefined;
  #hashed = 0;
  #gained = 0;

  constructor(wanted: Wanted, deps: Means) {
    this.#wanted = wanted;
    this.#deps = deps;
    this.#present = new Extents(deps.log.chunks);
    this.#pieces = new Pieces(this.#present, wanted.size);
  }

  /** Bytes that are here and were not before this attempt: what came a second time is no progress. */
  get gained(): number {
    return this.#gained;
  }

  /**
   * @returns the digest, where all was written here and in order from byte 0
   * @throws Fault; what arrived is logged, and synced
   */
  async run(): Promise<Digest | undefined> {
    const { file, log } = this.#deps;
    let syncing: Promise<void> = Promise.resolve();
    const sync = () => {
      syncing = syncing.then(() => file.sync()).then(() => log.sync());
      // Its failure shows again at the last one, which is awaited.
      syncing.catch(() => {});
    };
    const timer = setInterval(sync, SYNC_MS);
    try {
      await this.#deal();
    } finally {
      clearInterval(timer);
      if (this.#failure) sync();
      await syncing.catch((error) => this.#fail(error));
    }
    if (this.#failure) throw this.#failure;
    if (this.#hash && this.#hashed === this.#wanted.size) {
      return `${splitDigest(this.#wanted.digest)[0]}:${this.#hash.digest('hex')}`;
    }
    return undefined;
  }

  /**
   * Gives each slot that comes free the next piece. Waits for one slot at a time, so that all transfers have turns.
   * The first answer tells whether ranges are honoured; only then do other connections join.
   */
  async #deal(): Promise<void> {
    const { slots, bandwidth } = this.#deps;
    const running = new Set<Promise<void>>();
    let fencedBus = false;
    while (!this.#failure) {
      if (this.#pieces.left === 0) {
        if (running.size === 0) break;
        await this.#last(running);
        continue;
      }
      const slot = await slots.take();
      const pace = { rate: slots.gauge.rate, connections: slots.count, most: bandwidth.piece };
      const piece = this.#failure ? undefined : this.#pieces.next(pace);
      if (!piece) {
        slot[Symbol.dispose]();
        continue;
      }
      const { promise: ranged, resolve } = Promise.withResolvers<void>();
      const lead = () => {
        fencedBus = true;
        resolve();
      };
      const run = this.#work(piece, lead).finally(() => {
        running.delete(run);
        slot[Symbol.dispose]();
      });
      running.add(run);
      if (!fencedBus) await Promise.race([ranged, run]);
    }
    await Promise.all(running);
  }

  /** Waits for the end of a request: one that breaks, or is too slow, gives back what it did not bring. */
  async #last(running: Set<Promise<void>>): Promise<void> {
    const { gauge } = this.#deps.slots;
    const look = this.#sequential
      ? undefined
      : setInterval(() => this.#flights.hurry(gauge.firstByteMs), POLL_MS);
    try {
      await Promise.race(running);
    } finally {
      clearInterval(look);
    }
  }

  async #work(piece: Extent, ranged: () => void): Promise<void> {
    const { size, digest } = this.#wanted;
    // Hashing along the way pays only where no other connection can be in the middle of the file.
    if (piece.start === 0 && piece.end === size) this.#hash = createHash(splitDigest(digest)[0]);
    const writer = new PieceWriter(this.#deps, piece.start, this.#present);
    const before = this.#present.bytes;
    const { bandwidth, signal, slots } = this.#deps;
    try {
      await bandwidth.take(this.#ahead(piece) + REQUEST_BYTES, 'down', signal);
      using flight = this.#flights.begin(signal);
      try {
        await this.#bring(piece, writer, flight, ranged);
      } catch (error) {
        if (!flight.hurried) throw error;
        await writer.end();
      }
    } catch (error) {
      await writer.end().catch((failure) => this.#fail(failure));
      if (!signal.aborted) slots.gauge.failed(error);
      const progressed = this.#present.bytes - before >= PROGRESS_BYTES;
      if (this.#sequential || !progressed || !broke(error)) this.#fail(error);
      else if (writer.gained < PROGRESS_BYTES) await sleep(jittered(REST_MS));
    } finally {
      this.#gained += writer.gained;
      if (!this.#sequential) {
        this.#pieces.giveBack({ start: Math.max(piece.start, writer.at), end: piece.end });
      }
    }
  }

  async #bring(piece: Extent, writer: PieceWriter, flight: Flight, ranged: () => void): Promise<void> {
    const { repository, digest, size } = this.#wanted;
    const { parent, slots } = this.#deps;
    const begun = performance.now();
    const answer = await parent.blob(repository, digest, size, piece, flight.signal);
    flight.heard();
    let { end = piece.end } = answer;
    if (end > piece.start) slots.gauge.answered(performance.now() - begun);
    if (answer.ranged) ranged();
    else if (piece.start > 0 || piece.end < size) {
      if (this.#sequential) return answer.body.destroy();
      this.#sequential = true;
      this.#pieces.clear();
      writer.at = 0;
      end = size;
    }
    await this.#read(answer, writer, flight, end, this.#ahead(piece));
    if (writer.at < end) {
      throw new Fault('parent-unreachable', `the parent ended ${digest} at byte ${writer.at} of ${end}`);
    }
    slots.gauge.carried(end - piece.start, performance.now() - begun);
    await writer.end();
  }

  /** What of it is paid for before it is asked for, in bytes. */
  #ahead({ start, end }: Extent): number {
    return this.#deps.parent.inPart ? 0 : end - start;
  }

  /** @param paid bytes that the bandwidth was taken for; what comes beyond is taken for as it comes */
  async #read(
    { body }: BlobAnswer,
    writer: PieceWriter,
    flight: Flight,
    end: number,
    paid: number,
  ): Promise<void> {
    const { signal, slots, bandwidth } = this.#deps;
    let came = 0;
    try {
      for await (const bytes of body) {
        signal.throwIfAborted();
        if (writer.at + bytes.length > end) {
          const { size, digest } = this.#wanted;
          throw new Fault('parent-invalid', `the parent sent more than the ${size} bytes of ${digest}`);
        }
        flight.heard();
        slots.gauge.moved(bytes.length);
        came += bytes.length;
        if (came > paid) await bandwidth.take(Math.min(bytes.length, came - paid), 'down', signal);
        this.#follow(bytes, writer.at);
        await writer.take(bytes);
        flight.heard();
      }
    } finally {
      body.destroy();
    }
  }

  #follow(bytes: Buffer, at: number): void {
    if (!this.#hash) return;
    if (at === this.#hashed) {
      this.#hash.update(bytes);
      this.#hashed += bytes.length;
    } else this.#hash = undefined;
  }

  #fail(error: unknown): void {
    this.#failure ??= error ?? new Error('failed');
  }
}

const broke = (error: unknown): boolean =>
  Fault.is(error, 'parent-unreachable') && error.detail?.status === undefined;
