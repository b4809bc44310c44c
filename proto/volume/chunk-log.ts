import { crc32 } from 'node:zlib';

/**
 * The chunk log: the chunks of a transfer that are on disk. Append-only, in the folder of the ingest.
 *
 *   8 bytes   TERCHK01
 *   then entries of 20 bytes, big-endian:
 *     8   offset of the chunk in the blob
 *     4   its length
 *     4   CRC-32 of its bytes
 *     4   CRC-32 of the 16 bytes before
 *
 * An entry is written after its bytes, but does not imply that they are synced: after an unclean stop, each entry is
 * checked against the bytes, and dropped if it does not match. A torn entry ends the log. A reader concurrent with the
 * writer may read an entry before its bytes, and accepts a chunk only when its checksum matches.
 */
export const LOG_MAGIC = Buffer.from('TERCHK01');
export const ENTRY_BYTES = 20;

/** Max length of a chunk, in bytes: bounds the memory that its check needs. */
export const MAX_CHUNK = 4 * 1024 * 1024;

/** Half-open range of bytes, from `start` to before `end`, and their CRC-32. */
export type Chunk = { start: number; end: number; crc: number };

export function encodeChunk({ start, end, crc }: Chunk): Buffer {
  const entry = Buffer.allocUnsafe(ENTRY_BYTES);
  entry.writeBigUInt64BE(BigInt(start), 0);
  entry.writeUInt32BE(end - start, 8);
  entry.writeUInt32BE(crc, 12);
  entry.writeUInt32BE(crc32(entry.subarray(0, 16)), 16);
  return entry;
}

/** Chunks of a log up to the first torn entry; `good`: number of bytes of the log up to there. */
export function decodeLog(bytes: Buffer): { chunks: Chunk[]; good: number } {
  if (!bytes.subarray(0, LOG_MAGIC.length).equals(LOG_MAGIC)) return { chunks: [], good: 0 };
  const { chunks, good } = decodeEntries(bytes.subarray(LOG_MAGIC.length));
  return { chunks, good: LOG_MAGIC.length + good };
}

/** The same for a part of a log that begins with an entry. */
export function decodeEntries(bytes: Buffer): { chunks: Chunk[]; good: number } {
  const chunks: Chunk[] = [];
  let at = 0;
  for (; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    const entry = bytes.subarray(at, at + ENTRY_BYTES);
    if (crc32(entry.subarray(0, 16)) !== entry.readUInt32BE(16)) break;
    const start = Number(entry.readBigUInt64BE(0));
    chunks.push({ start, end: start + entry.readUInt32BE(8), crc: entry.readUInt32BE(12) });
  }
  return { chunks, good: at };
}
