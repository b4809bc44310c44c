import { crc32 } from 'node:zlib';
import { type Chunk, decodeEntries, ENTRY_BYTES, LOG_MAGIC, MAX_CHUNK } from '#proto/volume/chunk-log.ts';
import type { ByteReader, GrowingFile } from '#proto/volume/volume.ts';

/** Max size of a chunk, in bytes, as it is held in memory to be checked. Longer chunks are ignored. */
const MAX_CHECKED_BYTES = 4 * MAX_CHUNK;

/**
 * Chunk log of an ingest, read while its writer appends to it. Writes nothing, and trusts no byte without its checksum.
 */
export class ArrivingChunks {
  /** Sorted by their start; they do not overlap. */
  #chunks: Chunk[] = [];
  /** Bytes of the log read before. */
  #read = 0;
  #id: number | undefined;
  /** Time of the last read of the log, on the clock of `performance.now()`. */
  readAt = Number.NEGATIVE_INFINITY;

  /** Reads on from the last position; from the beginning if the log was replaced or truncated. */
  async refresh(log: GrowingFile): Promise<void> {
    this.readAt = performance.now();
    const { size, id } = await log.stat();
    if (id !== this.#id || size < this.#read) this.forget();
    this.#id = id;
    if (this.#read === 0) {
      const magic = Buffer.alloc(LOG_MAGIC.length);
      if (size < magic.length || (await log.read(magic, 0)) < magic.length) return;
      if (!magic.equals(LOG_MAGIC)) return;
      this.#read = magic.length;
    }
    const entries = Math.floor((size - this.#read) / ENTRY_BYTES);
    if (entries <= 0) return;
    const at = this.#read;
    const bytes = Buffer.allocUnsafe(entries * ENTRY_BYTES);
    const length = await log.read(bytes, at);
    // A concurrent call may have read the same entries.
    if (this.#read !== at) return;
    const { chunks, good } = decodeEntries(bytes.subarray(0, length));
    this.#read += good;
    for (const chunk of chunks) this.#add(chunk);
  }

  /** Discards all chunks, as they may be wrong: the next refresh reads the log from its beginning. */
  forget(): void {
    this.#chunks = [];
    this.#read = 0;
    this.#id = undefined;
  }

  /** The chunk that holds this byte. */
  at(position: number): Chunk | undefined {
    const chunk = this.#chunks[this.#after(position) - 1];
    return chunk && position < chunk.end ? chunk : undefined;
  }

  /** End of the contiguous chunks from this byte on, at most `max`; `position` itself if no chunk holds it. */
  reach(position: number, max: number): number {
    let at = position;
    for (let index = this.#after(position) - 1; at < max; index += 1) {
      const chunk = this.#chunks[index];
      if (!chunk || chunk.start > at || chunk.end <= at) break;
      at = chunk.end;
    }
    return Math.min(at, max);
  }

  #add(chunk: Chunk): void {
    const { start, end } = chunk;
    if (end <= start || end - start > MAX_CHECKED_BYTES) return;
    const index = this.#after(start);
    const before = this.#chunks[index - 1];
    // The same bytes were written again: the later entry is valid.
    if (before?.start === start) this.#chunks[index - 1] = chunk;
    else this.#chunks.splice(index, 0, chunk);
  }

  /** Number of chunks that begin at this byte or before it. */
  #after(position: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#chunks[middle] as Chunk).start <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Bytes of content that is still arriving. No byte is returned before the checksum of its chunk is verified. */
export class CheckedBytes {
  readonly #file: ByteReader;
  readonly #chunks: ArrivingChunks;
  #held: { start: number; bytes: Buffer } | undefined;

  constructor(file: ByteReader, chunks: ArrivingChunks) {
    this.#file = file;
    this.#chunks = chunks;
  }

  /** Reads at `position` until the buffer is full, or a byte is missing or damaged. @returns bytes read */
  async read(buffer: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < buffer.byteLength && (await this.holds(position + done))) {
      const { start, bytes } = this.#held as { start: number; bytes: Buffer };
      const from = position + done - start;
      done += bytes.copy(buffer, done, from, Math.min(bytes.length, from + buffer.byteLength - done));
    }
    return done;
  }

  /** Whether the byte at `position` has arrived and its chunk is intact. */
  async holds(position: number): Promise<boolean> {
    const held = this.#held;
    if (held && position >= held.start && position < held.start + held.bytes.length) return true;
    const chunk = this.#chunks.at(position);
    if (!chunk) return false;
    const bytes = Buffer.allocUnsafe(chunk.end - chunk.start);
    const read = await this.#file.read(bytes, chunk.start);
    if (read < bytes.length || crc32(bytes) !== chunk.crc) {
      this.#chunks.forget();
      return false;
    }
    this.#held = { start: chunk.start, bytes };
    return true;
  }
}
