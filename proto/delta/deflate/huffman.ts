import { MAX_CODE_BITS } from './symbols.ts';

/** Codes of deflate, from the length of each symbol's code: RFC 1951, 3.2.2. The first bit of a code is its lowest. */

export type DecodeTable = {
  /** By the next `bits` bits of the stream: symbol << 4 | length of its code; 0: no code begins so. */
  readonly entries: Uint16Array;
  readonly bits: number;
};

/** @returns undefined if the lengths describe more codes than there are */
export function decodeTable(lengths: Uint8Array): DecodeTable | undefined {
  const codes = codesOf(lengths);
  if (!codes) return undefined;
  let bits = 1;
  for (const length of lengths) bits = Math.max(bits, length);
  const entries = new Uint16Array(1 << bits);
  for (let symbol = 0; symbol < lengths.length; symbol += 1) {
    const length = lengths[symbol] as number;
    if (length === 0) continue;
    const entry = (symbol << 4) | length;
    for (let at = codes[symbol] as number; at < entries.length; at += 1 << length) entries[at] = entry;
  }
  return { entries, bits };
}

/** Code of each symbol. @returns undefined as above */
export function codesOf(lengths: Uint8Array): Uint16Array | undefined {
  const counts = new Uint16Array(MAX_CODE_BITS + 1);
  for (const length of lengths) counts[length] = (counts[length] as number) + 1;
  counts[0] = 0;
  const next = new Uint32Array(MAX_CODE_BITS + 1);
  let code = 0;
  for (let length = 1; length <= MAX_CODE_BITS; length += 1) {
    code = (code + (counts[length - 1] as number)) << 1;
    if (code + (counts[length] as number) > 1 << length) return undefined;
    next[length] = code;
  }
  const codes = new Uint16Array(lengths.length);
  for (let symbol = 0; symbol < lengths.length; symbol += 1) {
    const length = lengths[symbol] as number;
    if (length === 0) continue;
    codes[symbol] = reversed(next[length] as number, length);
    next[length] = (next[length] as number) + 1;
  }
  return codes;
}

function reversed(code: number, length: number): number {
  let result = 0;
  for (let bit = 0; bit < length; bit += 1) result |= ((code >> bit) & 1) << (length - 1 - bit);
  return result;
}
