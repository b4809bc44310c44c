import { crc32 } from 'node:zlib';
import { type Chunk, MAX_CHUNK, type MadeBy } from '#proto/volume/chunk-log.ts';
import type { IngestFile } from '#proto/volume/volume.ts';
import type { Extents } from '../../link/answers/extents.ts';
import type { ChunkLog } from './chunk-log.ts';

/** Bytes gathered before a write. */
const BATCH_BYTES = 256 * 1024;
/** Interval in which a chunk that is still arriving is cut and logged, in ms, so that a slow link loses little. */
const LOG_MS = 1_000;

export type WriterDeps = {
  file: IngestFile;
  log: ChunkLog;
  /** Called with the bytes on disk, as they grow. */
  progress: (done: number) => void;
};

/** Writes the bytes of one request in batches, and logs them. Skips bytes that are present already. */
export class PieceWriter {
  readonly #deps: WriterDeps;
  readonly #present: Extents;
  /** Offset of the next byte from the parent. */
  at: number;
  /** Bytes from the parent. */
  received = 0;
  /** Logged bytes that were missing before. */
  gained = 0;
  /** Bytes gathered and not written yet, from `#from` on. */
  #batch: Buffer[] = [];
  #size = 0;
  #from: number;
  /** Bytes written and not logged yet. */
  #open: Chunk | undefined;
  readonly #by: MadeBy | undefined;
  /** When a chunk was last logged. */
  #loggedAt = performance.now();

  /** @param by what makes the bytes, if they do not cross the link */
  constructor(deps: WriterDeps, at: number, present: Extents, by?: MadeBy) {
    this.#deps = deps;
    this.#by = by;
    this.#present = present;
    this.at = at;
    this.#from = at;
  }

  /** Adds the next bytes from the parent. */
  async add(bytes: Buffer): Promise<void> {
    this.received += bytes.length;
    let left = bytes;
    while (left.length > 0) {
      const present = Math.min(left.length, this.#present.reach(this.at) - this.at);
      if (present > 0) {
        await this.#write();
        await this.#log();
        this.at += present;
        left = left.subarray(present);
        continue;
      }
      if (this.#size === 0) this.#from = this.at;
      const room = Math.min(left.length, this.#present.next(this.at) - this.at);
      this.#batch.push(left.subarray(0, room));
      this.#size += room;
      this.at += room;
      left = left.subarray(room);
    }
    if (this.#size >= BATCH_BYTES) await this.#write();
    if (this.#open && this.#isDue(this.#open)) await this.#log();
  }

  /** The next bytes from the parent are from another offset on. */
  async seek(at: number): Promise<void> {
    if (at === this.at) return;
    await this.end();
    this.at = at;
  }

  #isDue({ start, end }: { start: number; end: number }): boolean {
    return end - start + BATCH_BYTES > MAX_CHUNK || performance.now() - this.#loggedAt >= LOG_MS;
  }

  /** Writes and logs all bytes added so far. */
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
    await this.#deps.file.write(batch, start);
    if (this.#open && this.#open.end !== start) await this.#log();
    let crc = this.#open?.crc ?? 0;
    for (const part of batch) crc = crc32(part, crc);
    this.#open = { start: this.#open?.start ?? start, end, crc };
  }

  async #log(): Promise<void> {
    const chunk = this.#open;
    this.#open = undefined;
    this.#loggedAt = performance.now();
    if (!chunk) return;
    await this.#deps.log.append(this.#by ? { ...chunk, by: this.#by } : chunk);
    this.gained += chunk.end - chunk.start;
    this.#present.add(chunk);
    this.#deps.progress(this.#present.bytes);
  }
}
