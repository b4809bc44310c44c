import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { type Chunk, decodeLog, encodeChunk, LOG_MAGIC } from '#proto/volume/chunk-log.ts';
import type { BlobFile } from '#proto/volume/volume.ts';
import type { Extent } from '../link/answers/extents.ts';

const WINDOW = 1024 * 1024;

/** A transfer's chunk log (`proto/volume/chunk-log.ts`), as its writer has it. */
export class ChunkLog implements AsyncDisposable {
  readonly #file: FileHandle;
  #chunks: Chunk[];

  /** Reads what is there and cuts a torn end off. Only the holder of the ingest's claim may. */
  static async open(file: FileHandle): Promise<ChunkLog> {
    const { chunks, good } = decodeLog(await file.readFile());
    await file.truncate(good);
    if (good === 0) await file.appendFile(LOG_MAGIC);
    return new ChunkLog(file, chunks);
  }

  private constructor(file: FileHandle, chunks: Chunk[]) {
    this.#file = file;
    this.#chunks = chunks;
  }

  get chunks(): readonly Chunk[] {
    return this.#chunks;
  }

  async append(chunk: Chunk): Promise<void> {
    this.#chunks.push(chunk);
    await this.#file.appendFile(encodeChunk(chunk));
  }

  /**
   * Compares every chunk with the bytes that it speaks of, and forgets those that differ.
   * @returns bytes forgotten
   */
  async verify(data: BlobFile): Promise<number> {
    const good: Chunk[] = [];
    let forgotten = 0;
    for (const chunk of this.#chunks) {
      if ((await checksum(data, chunk)) === chunk.crc) good.push(chunk);
      else forgotten += chunk.end - chunk.start;
    }
    if (forgotten > 0) {
      this.#chunks = good;
      await this.#file.truncate(0);
      await this.#file.appendFile(Buffer.concat([LOG_MAGIC, ...good.map(encodeChunk)]));
    }
    return forgotten;
  }

  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

async function checksum(data: BlobFile, { start, end }: Extent): Promise<number | undefined> {
  const buffer = Buffer.allocUnsafe(Math.min(WINDOW, end - start));
  let crc = 0;
  for (let at = start; at < end; ) {
    const part = buffer.subarray(0, Math.min(buffer.length, end - at));
    if ((await data.read(part, at)) < part.length) return undefined;
    crc = crc32(part, crc);
    at += part.length;
  }
  return crc;
}
