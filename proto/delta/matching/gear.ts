import type { Bytes } from '../bytes/bytes.ts';

const BUFFER_BYTES = 1024 * 1024;

/** Random values by byte (xorshift), the same everywhere only for the sake of equal chunks in one run. */
const GEAR = (() => {
  const values = new Int32Array(256);
  let state = 0x9e3779b9 | 0;
  for (let byte = 0; byte < 256; byte += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[byte] = state;
  }
  return values;
})();

/**
 * Content-defined chunks (FastCDC, normalized): of a quarter to eight times `averageBytes`, a power of two of at most
 * 64 KiB. `bytes` is valid until the next one.
 */
export function* chunksOf(
  content: Bytes,
  averageBytes: number,
): Generator<{ at: number; bytes: Uint8Array }> {
  const [min, max] = [averageBytes >> 2, averageBytes << 3];
  const bits = Math.log2(averageBytes);
  const [hard, easy] = [maskOf(bits + 1), maskOf(bits - 1)];
  const buffer = new Uint8Array(BUFFER_BYTES);
  let [next, filled, at] = [0, 0, 0];
  for (;;) {
    if (filled - next < max) {
      buffer.copyWithin(0, next, filled);
      filled -= next;
      next = 0;
      filled += content.read(buffer.subarray(filled), at + filled);
    }
    if (filled === next) return;
    const end = Math.min(filled, next + max);
    const cut = cutOf(buffer, next + min, Math.min(end, next + averageBytes), end, hard, easy);
    yield { at, bytes: buffer.subarray(next, cut) };
    at += cut - next;
    next = cut;
  }
}

function cutOf(
  buffer: Uint8Array,
  from: number,
  middle: number,
  end: number,
  hard: number,
  easy: number,
): number {
  let hash = 0;
  let at = from;
  for (; at < middle; at += 1) {
    hash = ((hash << 1) + (GEAR[buffer[at] as number] as number)) | 0;
    if ((hash & hard) === 0) return at + 1;
  }
  for (; at < end; at += 1) {
    hash = ((hash << 1) + (GEAR[buffer[at] as number] as number)) | 0;
    if ((hash & easy) === 0) return at + 1;
  }
  return end;
}

/** The highest bits: they depend on the most bytes. */
const maskOf = (bits: number): number => -1 << (32 - bits);
