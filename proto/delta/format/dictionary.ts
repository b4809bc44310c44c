import type { Bytes } from '../bytes/bytes.ts';
import { lengthOf, type Range } from '../bytes/range.ts';

/** Of a dictionary with tables: RFC 8878, 5. */
const DICTIONARY_MAGIC = [0x37, 0xa4, 0x30, 0xec];
/** Enough for most. */
const MIN_BUFFER_BYTES = 4 * 1024 * 1024;

/** References as a dictionary. Its buffer is used again: a dictionary is valid until the next one is made. */
export class Dictionary {
  #buffer = new Uint8Array();

  of(base: Bytes, references: readonly Range[]): Uint8Array {
    if (references.length === 0) return new Uint8Array();
    // One byte before it, which is only used if the content would be taken for a dictionary with tables.
    const size = 1 + lengthOf(references);
    if (this.#buffer.length < size) this.#buffer = new Uint8Array(Math.max(size, MIN_BUFFER_BYTES));
    const bytes = this.#buffer.subarray(0, size);
    bytes[0] = 0;
    let at = 1;
    for (const { start, end } of references) {
      base.read(bytes.subarray(at, at + end - start), start);
      at += end - start;
    }
    return DICTIONARY_MAGIC.every((byte, index) => bytes[1 + index] === byte) ? bytes : bytes.subarray(1);
  }
}
