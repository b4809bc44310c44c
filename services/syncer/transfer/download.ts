import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Fault } from '#proto/fault.ts';
import { type Digest, splitDigest } from '#proto/names.ts';
import type { IngestFile } from '#proto/volume.ts';
import type { Parent } from '../link/parent.ts';
import type { ChunkLog } from './chunk-log.ts';
import { type Extent, Extents } from './extents.ts';
import type { Slots } from './slots.ts';

/** What is asked for in one request; also the most that a killed process has asked for in vain per connection. */
export const CHUNK_BYTES = 4 * 1024 * 1024;
/** Bytes gathered before a write. */
const BATCH_BYTES = 256 * 1024;
/** How often a chunk that is still coming is cut and logged, so that a slow link loses little. */
const LOG_MS = 1_000;
/** How often what was written goes to the platter, so that a power cut loses little. */
const SYNC_MS = 2_000;
/** A request that brought less than this before it broke counts as a failure. */
const PROGRESS_BYTES = 64 * 1024;

export type Wanted = { repository: string; digest: Digest; size: number };
export type Means = {
  parent: Pick<Parent, 'blob'>;
  file: IngestFile;
  log: ChunkLog;
  /** Connections, shared by all transfers of this process. */
  slots: Slots;
  signal: AbortSignal;
  /** Told of the bytes that are on disk, as they grow. */
  progress: (done: number) => void;
};

/**
 * Brings the missing chunks of one blob: several ranged requests at a time, each written at its offset and logged.
 * A request that breaks off after some progress goes on where it broke; one that brings nothing ends the attempt,
 * when the others have finished their chunks.
 *
 * A parent that ignores `Range` is read in sequence by one connection, and what is here already is passed over.
 */
export class Download {
  readonly #wanted: Wanted;
  readonly #means: Means;
  readonly #present: Extents;
  #queue: Extent[];
  #failure: unknown;
  /** Set where the parent ignores `Range`. */
  #sequential = false;
  /** The digest of what one request brings in order from byte 0; given up at the first byte out of order. */
  #hash: Hash | undefined;
  #hashed = 0;
  #gained = 0;

  constructor(wanted: Wanted, means: Means) {
    this.#wanted = wanted;
    this.#means = means;
    this.#present = new Extents(means.log.chunks);
    this.#queue = this.#present.missing(wanted.size, CHUNK_BYTES);
    // Hashing along the way pays only where no other connection can be in the middle of the file.
    if (this.#queue.length === 1 && this.#present.bytes === 0) {
      this.#hash = createHash(splitDigest(wanted.digest)[0]);
    }
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
    const { file, log } = this.#means;
    let syncing: Promise<void> = Promise.resolve();
    const sync = () => {
      syncing = syncing.then(() => file.sync()).then(() => log.sync());
      // Its failure shows again at the last one, which is awaited.
      syncing.catch(() => {});
    };
    const timer = setInterval(sync, SYNC_MS);
    try {
      await this.#lead();
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

  /** The first answer tells whether ranges are honoured; only then do other connections join. */
  async #lead(): Promise<void> {
    const others: Promise<void>[] = [];
    await this.#work(() => {
      while (others.length < Math.min(this.#queue.length, this.#means.slots.count - 1))
        others.push(this.#work(() => {}));
    });
    await Promise.all(others);
  }

  async #work(ranged: () => void): Promise<void> {
    let announced = false;
    while (!this.#failure) {
      using _slot = await this.#means.slots.take();
      const piece = this.#failure ? undefined : this.#queue.shift();
      if (!piece) return;
      const writer = new PieceWriter(this.#means, piece.start, this.#present);
      try {
        await this.#bring(piece, writer, () => {
          if (!announced) ranged();
          announced = true;
        });
      } catch (error) {
        await writer.end().catch((failure) => this.#fail(failure));
        if (!this.#sequential)
          this.#queue.unshift({ start: Math.max(piece.start, writer.at), end: piece.end });
        const progressed = writer.gained >= PROGRESS_BYTES;
        if (this.#sequential || !progressed || !Fault.is(error, 'parent-unreachable')) this.#fail(error);
      } finally {
        this.#gained += writer.gained;
      }
    }
  }

  async #bring(piece: Extent, writer: PieceWriter, ranged: () => void): Promise<void> {
    const { repository, digest, size } = this.#wanted;
    const { parent, signal } = this.#means;
    const answer = await parent.blob(repository, digest, size, piece, signal);
    let { end } = piece;
    if (answer.ranged) ranged();
    else if (piece.start > 0 || piece.end < size) {
      if (this.#sequential) return answer.body.destroy();
      this.#sequential = true;
      this.#queue = [];
      writer.at = 0;
      end = size;
    }
    try {
      for await (const bytes of answer.body) {
        signal.throwIfAborted();
        if (writer.at + bytes.length > end) {
          throw new Fault('parent-invalid', `the parent sent more than the ${size} bytes of ${digest}`);
        }
        this.#follow(bytes, writer.at);
        await writer.take(bytes);
      }
    } finally {
      answer.body.destroy();
    }
    if (writer.at < end) {
      throw new Fault('parent-unreachable', `the parent ended ${digest} at byte ${writer.at} of ${end}`);
    }
    await writer.end();
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

/** Writes what one request brings, in batches, and logs it; passes over bytes that are here already. */
class PieceWriter {
  readonly #means: Means;
  readonly #present: Extents;
  /** Offset of the next byte from the parent. */
  at: number;
  /** Bytes logged that were not here before. */
  gained = 0;
  /** What is gathered and not written yet, from `#from` on. */
  #batch: Buffer[] = [];
  #size = 0;
  #from: number;
  /** What is written and not logged yet. */
  #open: { start: number; end: number; crc: number } | undefined;
  #logged = Date.now();

  constructor(means: Means, at: number, present: Extents) {
    this.#means = means;
    this.#present = present;
    this.at = at;
    this.#from = at;
  }

  async take(bytes: Buffer): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      const known = Math.min(rest.length, this.#present.reach(this.at) - this.at);
      if (known > 0) {
        await this.#write();
        await this.#log();
        this.at += known;
        rest = rest.subarray(known);
        continue;
      }
      if (this.#size === 0) this.#from = this.at;
      const room = Math.min(rest.length, this.#present.next(this.at) - this.at);
      this.#batch.push(rest.subarray(0, room));
      this.#size += room;
      this.at += room;
      rest = rest.subarray(room);
    }
    if (this.#size >= BATCH_BYTES) await this.#write();
    if (this.#open && Date.now() - this.#logged >= LOG_MS) await this.#log();
  }

  /** Everything taken so far is on disk and in the log. */
  async end(): Promise<void> {
    await this.#write();
    await this.#log();
  }

  async #write(): Promise<void> {
    if (this.#size === 0) return;
    const batch = this.#batch;
    const start = this.#from;
    const end = start + this.#size;
    this.#batch = [];
    this.#size = 0;
    await this.#means.file.write(batch, start);
    if (this.#open && this.#open.end !== start) await this.#log();
    let crc = this.#open?.crc ?? 0;
    for (const part of batch) crc = crc32(part, crc);
    this.#open = { start: this.#open?.start ?? start, end, crc };
  }

  async #log(): Promise<void> {
    const chunk = this.#open;
    this.#open = undefined;
    this.#logged = Date.now();
    if (!chunk) return;
    await this.#means.log.append(chunk);
    this.gained += chunk.end - chunk.start;
    this.#present.add(chunk);
    this.#means.progress(this.#present.bytes);
  }
}
