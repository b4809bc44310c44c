/** CRC-32C (Castagnoli), with which LevelDB protects its records and blocks: eight bytes in one step. */

const POLYNOMIAL = 0x82f63b78 | 0;
const STEP = 8;

/** One table of 256 for each byte of a step. Signed: unsigned numbers of 32 bits are slow. */
const T = new Int32Array(256 * STEP);
for (let byte = 0; byte < 256; byte += 1) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  T[byte] = crc;
}
for (let at = 256; at < T.length; at += 1) {
  const before = T[at - 256] as number;
  T[at] = (before >>> 8) ^ (T[before & 0xff] as number);
}

export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (table: number, byte: number) => T[table * 256 + byte] as number;
  let crc = -1;
  let next = from;
  for (; next + STEP <= to; next += STEP) {
    const low = crc ^ view.getInt32(next, true);
    const high = view.getInt32(next + 4, true);
    crc =
      at(7, low & 0xff) ^
      at(6, (low >>> 8) & 0xff) ^
      at(5, (low >>> 16) & 0xff) ^
      at(4, low >>> 24) ^
      at(3, high & 0xff) ^
      at(2, (high >>> 8) & 0xff) ^
      at(1, (high >>> 16) & 0xff) ^
      at(0, high >>> 24);
  }
  for (; next < to; next += 1) crc = (crc >>> 8) ^ at(0, (crc ^ (bytes[next] as number)) & 0xff);
  return ~crc >>> 0;
}

const MASK_DELTA = 0xa282ead8;

/** A checksum that is stored beside what it is of is stored like this (util/crc32c.h of LevelDB). */
export const masked = (crc: number): number => ((((crc >>> 15) | (crc << 17)) >>> 0) + MASK_DELTA) >>> 0;
