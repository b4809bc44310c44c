import { ByteCursor } from './byte-cursor.ts';

/**
 * Decompresses a block that LevelDB compressed with Snappy (format_description.txt of Snappy).
 * @param limit max size of the result, in bytes
 * @throws RangeError if the bytes are damaged or the result exceeds the limit
 */
export function uncompressed(bytes: Uint8Array, limit: number): Uint8Array {
  const cursor = new ByteCursor(bytes);
  const size = cursor.varint();
  if (size > limit) throw new RangeError('size above the limit');
  const output = new Uint8Array(size);
  let at = 0;
  while (!cursor.done) {
    const tag = cursor.byte();
    const kind = tag & 3;
    if (kind === 0) {
      const literal = cursor.take(literalLength(tag, cursor));
      if (at + literal.length > size) throw new RangeError('more data than the declared size');
      output.set(literal, at);
      at += literal.length;
      continue;
    }
    const length = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const distance =
      kind === 1
        ? (tag >> 5) * 256 + cursor.byte()
        : kind === 2
          ? cursor.byte() + cursor.byte() * 256
          : cursor.fixed32();
    if (distance === 0 || distance > at || at + length > size) throw new RangeError('invalid copy');
    // Byte by byte: the source may overlap the output.
    for (let i = 0; i < length; i += 1, at += 1) output[at] = output[at - distance] as number;
  }
  if (at !== size) throw new RangeError('less data than the declared size');
  return output;
}

function literalLength(tag: number, cursor: ByteCursor): number {
  const short = tag >> 2;
  if (short < 60) return short + 1;
  let length = 0;
  for (let scale = 1; scale < 256 ** (short - 59); scale *= 256) length += cursor.byte() * scale;
  return length + 1;
}
