import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import {
  type Chunk,
  type DecodedLog,
  decodeLog,
  encodeChunk,
  encodeRepeated,
  LOG_MAGIC,
  type MadeBy,
} from '#proto/volume/chunk-log.ts';
import type { BlobFile } from '#proto/volume/volume.ts';
import type { Extent } from '../../link/answers/extents.ts';

/** Bytes that are read at a time to verify a chunk. */
const READ_BYTES = 1024 * 1024;

/** The writer of a transfer's chunk log. Its format is in `proto/volume/chunk-log.ts`. */
export class ChunkLog implements AsyncDisposable {
  readonly #file: FileHandle;
  #chunks: Chunk[];
  #repeated: number;

  /** Reads the log and cuts off a torn end. Only the holder of the ingest's claim may call this. */
  static async open(file: FileHandle): Promise<ChunkLog> {
    const decoded = decodeLog(await file.readFile());
    await file.truncate(decoded.good);
    if (decoded.good === 0) await file.appendFile(LOG_MAGIC);
    return new ChunkLog(file, decoded);
  }

  private constructor(file: FileHandle, { chunks, repeated }: DecodedLog) {
    this.#file = file;
    this.#chunks = chunks;
    this.#repeated = repeated;
  }

  get chunks(): readonly Chunk[] {
    return this.#chunks;
  }

  /** Bytes of the chunks that crossed the link, and of those that were made here. */
  get origins(): Record<'link' | MadeBy, number> {
    const origins = { link: 0, frames: 0, delta: 0 };
    for (const { start, end, by = 'link' } of this.#chunks) origins[by] += end - start;
    return origins;
  }

  /** Bytes that crossed the link although other content here had them. */
  get repeated(): number {
    return this.#repeated;
  }

  async addRepeated(bytes: number): Promise<void> {
    this.#repeated += bytes;
    await this.#file.appendFile(encodeRepeated(bytes));
  }

  append(chunk: Chunk): Promise<void> {
    return this.appendAll([chunk]);
  }

  async appendAll(chunks: readonly Chunk[]): Promise<void> {
    for (const chunk of chunks) this.#chunks.push(chunk);
    await this.#file.appendFile(Buffer.concat(chunks.map(encodeChunk)));
  }

  /**
   * Verifies each chunk's checksum against the bytes on disk, and drops the chunks that differ.
   * @returns bytes dropped
   */
  async verify(data: BlobFile): Promise<number> {
    const good: Chunk[] = [];
    let dropped = 0;
    for (const chunk of this.#chunks) {
      if ((await checksum(data, chunk)) === chunk.crc) good.push(chunk);
      else dropped += chunk.end - chunk.start;
    }
    if (dropped > 0) await this.replace(good);
    return dropped;
  }

  /** Drops the chunks that were made here. */
  async dropMade(): Promise<void> {
    this.#repeated = 0;
    await this.replace(this.#chunks.filter(({ by }) => by === undefined));
  }

  /** Replaces all chunks. */
  async replace(chunks: Chunk[]): Promise<void> {
    this.#chunks = chunks;
    await this.#file.truncate(0);
    const repeated = this.#repeated > 0 ? [encodeRepeated(this.#repeated)] : [];
    await this.#file.appendFile(Buffer.concat([LOG_MAGIC, ...repeated, ...chunks.map(encodeChunk)]));
  }

  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

async function checksum(data: BlobFile, { start, end }: Extent): Promise<number | undefined> {
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - start));
  let crc = 0;
  for (let at = start; at < end; ) {
    const part = buffer.subarray(0, Math.min(buffer.length, end - at));
    if ((await data.read(part, at)) < part.length) return undefined;
    crc = crc32(part, crc);
    at += part.length;
  }
  return crc;
}
