import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { BlobFile } from '#proto/volume.ts';
import type { Extent } from './extents.ts';

/**
 * The chunk log: what of a transfer is on disk. Append-only, beside the ingest's bytes.
 *
 *   8 bytes   TERCHK01
 *   then entries of 20 bytes, big-endian:
 *     8   offset of the chunk in the blob
 *     4   its length
 *     4   CRC-32 of its bytes
 *     4   CRC-32 of the 16 bytes before
 *
 * An entry is written after its bytes, and says nothing of their being on the platter: after an unclean stop every
 * entry is checked against the bytes, and what does not match is forgotten. A torn entry ends the log.
 */
const MAGIC = Buffer.from('TERCHK01');
const ENTRY = 20;
const WINDOW = 1024 * 1024;

export type Chunk = Extent & { crc: number };

export function encodeChunk({ start, end, crc }: Chunk): Buffer {
  const entry = Buffer.allocUnsafe(ENTRY);
  entry.writeBigUInt64BE(BigInt(start), 0);
  entry.writeUInt32BE(end - start, 8);
  entry.writeUInt32BE(crc, 12);
  entry.writeUInt32BE(crc32(entry.subarray(0, 16)), 16);
  return entry;
}

/** The chunks of a log, up to the first entry that is not whole, and how many bytes of the log are good. */
export function decodeLog(bytes: Buffer): { chunks: Chunk[]; good: number } {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return { chunks: [], good: 0 };
  const chunks: Chunk[] = [];
  let at = MAGIC.length;
  for (; at + ENTRY <= bytes.length; at += ENTRY) {
    const entry = bytes.subarray(at, at + ENTRY);
    if (crc32(entry.subarray(0, 16)) !== entry.readUInt32BE(16)) break;
    const start = Number(entry.readBigUInt64BE(0));
    chunks.push({ start, end: start + entry.readUInt32BE(8), crc: entry.readUInt32BE(12) });
  }
  return { chunks, good: at };
}

export class ChunkLog implements AsyncDisposable {
  readonly #file: FileHandle;
  #chunks: Chunk[];

  /** Reads what is there and cuts a torn end off. Only the holder of the ingest's claim may. */
  static async open(file: FileHandle): Promise<ChunkLog> {
    const { chunks, good } = decodeLog(await file.readFile());
    await file.truncate(good);
    if (good === 0) await file.appendFile(MAGIC);
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
      await this.#file.appendFile(Buffer.concat([MAGIC, ...good.map(encodeChunk)]));
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
