/**
 * Size of plain data as msgpack, in bytes: of what `pack` returns, without encoding it. Omits `undefined` fields, as
 * `pack` does (https://github.com/msgpack/msgpack/blob/master/spec.md).
 */
export function packedSize(value: unknown): number {
  switch (typeof value) {
    case 'number':
      return numberSize(value);
    case 'string':
      return textSize(value);
    case 'object':
      break;
    default:
      return 1;
  }
  if (value === null) return 1;
  if (value instanceof Uint8Array)
    return value.byteLength + (value.byteLength < 256 ? 2 : wide(value.byteLength));
  if (Array.isArray(value)) {
    let size = listHeader(value.length);
    for (const item of value) size += packedSize(item);
    return size;
  }
  let size = 0;
  let count = 0;
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    count += 1;
    size += textSize(key) + packedSize(item);
  }
  return size + listHeader(count);
}

function numberSize(value: number): number {
  if (!Number.isSafeInteger(value)) return 9;
  // Small numbers are their own header. One bit of the others is the sign of a negative one.
  if (value >= -32 && value < 128) return 1;
  const magnitude = value < 0 ? 2 * -value - 1 : value;
  if (magnitude < 2 ** 8) return 2;
  if (magnitude < 2 ** 16) return 3;
  return magnitude < 2 ** 32 ? 5 : 9;
}

function textSize(text: string): number {
  const bytes = Buffer.byteLength(text);
  if (bytes < 32) return bytes + 1;
  return bytes + (bytes < 256 ? 2 : wide(bytes));
}

const listHeader = (count: number): number => (count < 16 ? 1 : wide(count));

/** Size of a header with a length of 16 or 32 bits. */
const wide = (length: number): number => (length < 2 ** 16 ? 3 : 5);
