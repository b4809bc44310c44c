/** CRC-32C (Castagnoli), the checksum of LevelDB's records and blocks. Computed eight bytes at a time. */

const POLYNOMIAL = 0x82f63b78 | 0;
const STEP = 8;

/** A table of 256 entries per byte of a step. Signed: unsigned 32-bit numbers are slow. */
const TABLES = new Int32Array(256 * STEP);
for (let byte = 0; byte < 256; byte += 1) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  TABLES[byte] = crc;
}
for (let at = 256; at < TABLES.length; at += 1) {
  const previous = TABLES[at - 256] as number;
  TABLES[at] = (previous >>> 8) ^ (TABLES[previous & 0xff] as number);
}

export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (table: number, byte: number) => TABLES[table * 256 + byte] as number;
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

/** The form in which LevelDB stores a checksum next to the data that it covers (util/crc32c.h of LevelDB). */
export const masked = (crc: number): number => ((((crc >>> 15) | (crc << 17)) >>> 0) + MASK_DELTA) >>> 0;
