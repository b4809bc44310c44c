/** Unsigned LEB128 of safe integers. */

const MAX_BYTES = 8;

/** @returns the place behind the number */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest >= 128) {
    target[end] = (rest % 128) + 128;
    end += 1;
    rest = Math.floor(rest / 128);
  }
  target[end] = rest;
  return end + 1;
}

/** @returns undefined if it does not end within `source`, or has more than 8 bytes or is no safe integer */
export function readVarint(source: Uint8Array, at: number): { value: number; end: number } | undefined {
  let value = 0;
  let scale = 1;
  for (let end = at; end < Math.min(source.length, at + MAX_BYTES); end += 1) {
    const byte = source[end] as number;
    value += (byte % 128) * scale;
    if (byte < 128) return Number.isSafeInteger(value) ? { value, end: end + 1 } : undefined;
    scale *= 128;
  }
  return undefined;
}
