import { crc32 } from 'node:zlib';

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
 * entry is checked against the bytes, and what does not match is forgotten. A torn entry ends the log. Whoever reads
 * it beside its writer may meet bytes that are not there yet, and believes a chunk once its checksum is right.
 */
export const LOG_MAGIC = Buffer.from('TERCHK01');
export const ENTRY_BYTES = 20;

/** A chunk is cut at this length, in bytes, so that whoever has to check it needs little memory. */
export const MAX_CHUNK = 4 * 1024 * 1024;

/** Half-open: the bytes from `start` up to `end`, and their CRC-32. */
export type Chunk = { start: number; end: number; crc: number };

export function encodeChunk({ start, end, crc }: Chunk): Buffer {
  const entry = Buffer.allocUnsafe(ENTRY_BYTES);
  entry.writeBigUInt64BE(BigInt(start), 0);
  entry.writeUInt32BE(end - start, 8);
  entry.writeUInt32BE(crc, 12);
  entry.writeUInt32BE(crc32(entry.subarray(0, 16)), 16);
  return entry;
}

/** The chunks of a log, up to the first entry that is not whole, and how many bytes of the log are good. */
export function decodeLog(bytes: Buffer): { chunks: Chunk[]; good: number } {
  if (!bytes.subarray(0, LOG_MAGIC.length).equals(LOG_MAGIC)) return { chunks: [], good: 0 };
  const { chunks, good } = decodeEntries(bytes.subarray(LOG_MAGIC.length));
  return { chunks, good: LOG_MAGIC.length + good };
}

/** The same of a part of a log that begins with an entry. */
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
