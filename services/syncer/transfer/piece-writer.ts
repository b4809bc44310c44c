import { crc32 } from 'node:zlib';
import { MAX_CHUNK } from '#proto/volume/chunk-log.ts';
import type { IngestFile } from '#proto/volume/volume.ts';
import type { Extents } from '../link/answers/extents.ts';
import type { ChunkLog } from './chunk-log.ts';

/** Bytes gathered before a write. */
const BATCH_BYTES = 256 * 1024;
/** How often a chunk that is still coming is cut and logged, so that a slow link loses little. */
const LOG_MS = 1_000;

export type WriterDeps = {
  file: IngestFile;
  log: ChunkLog;
  /** Told of the bytes that are on disk, as they grow. */
  progress: (done: number) => void;
};

/** Writes what one request brings, in batches, and logs it; passes over bytes that are here already. */
export class PieceWriter {
  readonly #deps: WriterDeps;
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
  #logged = performance.now();

  constructor(deps: WriterDeps, at: number, present: Extents) {
    this.#deps = deps;
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
    if (this.#open && this.#isDue(this.#open)) await this.#log();
  }

  #isDue({ start, end }: { start: number; end: number }): boolean {
    return end - start + BATCH_BYTES > MAX_CHUNK || performance.now() - this.#logged >= LOG_MS;
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
    await this.#deps.file.write(batch, start);
    if (this.#open && this.#open.end !== start) await this.#log();
    let crc = this.#open?.crc ?? 0;
    for (const part of batch) crc = crc32(part, crc);
    this.#open = { start: this.#open?.start ?? start, end, crc };
  }

  async #log(): Promise<void> {
    const chunk = this.#open;
    this.#open = undefined;
    this.#logged = performance.now();
    if (!chunk) return;
    await this.#deps.log.append(chunk);
    this.gained += chunk.end - chunk.start;
    this.#present.add(chunk);
    this.#deps.progress(this.#present.bytes);
  }
}
