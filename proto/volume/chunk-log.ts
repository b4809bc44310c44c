import { crc32 } from 'node:zlib';

/**
 * The chunk log: the chunks of a transfer that are on disk. Append-only, in the folder of the ingest.
 *
 *   8 bytes   TERCHK01
 *   then entries of 20 bytes, big-endian:
 *     8   offset of the chunk in the blob
 *     4   its length; in the two highest bits, where it is from: 0 the link, 1 frames, 2 a delta
 *     4   CRC-32 of its bytes
 *     4   CRC-32 of the 16 bytes before
 *   or, with 3 in these two bits, a length and CRC-32 of 0: in place of the offset, a number of bytes that crossed the
 *   link although other content had them, since the last such entry
 *
 * An entry is written after its bytes, but does not imply that they are synced: after an unclean stop, each entry is
 * checked against the bytes, and dropped if it does not match. A torn entry ends the log. A reader concurrent with the
 * writer may read an entry before its bytes, and accepts a chunk only when its checksum matches.
 */
export const LOG_MAGIC = Buffer.from('TERCHK01');
export const ENTRY_BYTES = 20;

/** Max length of a chunk, in bytes: bounds the memory that its check needs. */
export const MAX_CHUNK = 4 * 1024 * 1024;

/** What made bytes here that did not cross the link: other layers that have them, or a delta that was applied. */
export type MadeBy = 'frames' | 'delta';

/** Half-open range of bytes, from `start` to before `end`, and their CRC-32. Without `by`, they crossed the link. */
export type Chunk = { start: number; end: number; crc: number; by?: MadeBy };

/** Of the two highest bits of the length. */
const ORIGINS: readonly (MadeBy | undefined)[] = [undefined, 'frames', 'delta'];
const NOTE = 3;
const ORIGIN_SHIFT = 30;
const LENGTH_MASK = 2 ** ORIGIN_SHIFT - 1;

export const encodeChunk = ({ start, end, crc, by }: Chunk): Buffer =>
  encoded(start, end - start, ORIGINS.indexOf(by), crc);

/** @param bytes that crossed the link although other content here had them */
export const encodeRepeated = (bytes: number): Buffer => encoded(bytes, 0, NOTE, 0);

function encoded(start: number, length: number, origin: number, crc: number): Buffer {
  const entry = Buffer.allocUnsafe(ENTRY_BYTES);
  entry.writeBigUInt64BE(BigInt(start), 0);
  entry.writeUInt32BE(((origin << ORIGIN_SHIFT) | length) >>> 0, 8);
  entry.writeUInt32BE(crc, 12);
  entry.writeUInt32BE(crc32(entry.subarray(0, 16)), 16);
  return entry;
}

/**
 * What a log has up to the first torn entry; `good`: number of its bytes up to there. `repeated`: bytes that crossed
 * the link although other content had them.
 */
export type DecodedLog = { chunks: Chunk[]; repeated: number; good: number };

export function decodeLog(bytes: Buffer): DecodedLog {
  if (!bytes.subarray(0, LOG_MAGIC.length).equals(LOG_MAGIC)) return { chunks: [], repeated: 0, good: 0 };
  const decoded = decodeEntries(bytes.subarray(LOG_MAGIC.length));
  return { ...decoded, good: LOG_MAGIC.length + decoded.good };
}

/** The same for a part of a log that begins with an entry. */
export function decodeEntries(bytes: Buffer): DecodedLog {
  const chunks: Chunk[] = [];
  let repeated = 0;
  let at = 0;
  for (; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    const entry = bytes.subarray(at, at + ENTRY_BYTES);
    if (crc32(entry.subarray(0, 16)) !== entry.readUInt32BE(16)) break;
    const start = Number(entry.readBigUInt64BE(0));
    const length = entry.readUInt32BE(8);
    const origin = length >>> ORIGIN_SHIFT;
    if (origin === NOTE) {
      repeated += start;
      continue;
    }
    const by = ORIGINS[origin];
    const end = start + (length & LENGTH_MASK);
    chunks.push({ start, end, crc: entry.readUInt32BE(12), ...(by && { by }) });
  }
  return { chunks, repeated, good: at };
}
