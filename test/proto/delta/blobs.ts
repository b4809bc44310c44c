import { constants, crc32, deflateRawSync, type ZlibOptions } from 'node:zlib';

/** Blobs of tests: the same bytes for the same seed. */

/** Numbers from 0 to below `count`: xorshift. */
export function numbers(seed: number): (count: number) => number {
  let state = seed | 0 || 1;
  return (count) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
}

export function noise(length: number, seed = 1): Buffer {
  const next = numbers(seed);
  return Buffer.from(Uint8Array.from({ length }, () => next(256)));
}

/** Text of few words, which compresses well. */
export function text(length: number, seed = 1): Buffer {
  const next = numbers(seed);
  const words: string[] = [];
  for (let size = 0; size < length; size += words.at(-1)?.length ?? 0) {
    words.push(`${'abcdefghijklmnop'.slice(next(8), 9 + next(7))}${next(40)} `);
  }
  return Buffer.from(words.join('')).subarray(0, length);
}

const GZIP_HEADER = Buffer.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);

/** A gzip member with these deflate bytes. */
export function member(deflated: Uint8Array, content: Uint8Array): Buffer {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(content), 0);
  trailer.writeUInt32LE(content.length % 2 ** 32, 4);
  return Buffer.concat([GZIP_HEADER, deflated, trailer]);
}

/** A member whose encoder was flushed after each of these parts. */
export function flushed(parts: readonly Uint8Array[], flush: number, some: ZlibOptions = {}): Buffer {
  const streams = parts.map((part, index) =>
    deflateRawSync(part, {
      ...some,
      finishFlush: index === parts.length - 1 ? constants.Z_FINISH : flush,
    }),
  );
  return member(Buffer.concat(streams), Buffer.concat(parts));
}

/** A zip file with deflated entries. */
export function zipOf(entries: Record<string, Uint8Array>): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, content] of Object.entries(entries)) {
    const data = deflateRawSync(content);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc32(content), 10);
    fields.writeUInt32LE(data.length, 14);
    fields.writeUInt32LE(content.length, 18);
    fields.writeUInt16LE(name.length, 22);
    files.push(Buffer.from('PK\x03\x04', 'latin1'), fields, Buffer.from(name), data);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(at, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), fields, place, Buffer.from(name));
    at += 30 + name.length + data.length;
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(directory.length / 4, 8);
  end.writeUInt16LE(directory.length / 4, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...files, ...directory, end]);
}

/** Writes deflate bit by bit, for what no encoder at hand writes. */
export class BitWriter {
  #bits: number[] = [];

  /** The lowest bit first. */
  put(value: number, count: number): this {
    for (let bit = 0; bit < count; bit += 1) this.#bits.push((value >> bit) & 1);
    return this;
  }

  /** A code: the highest bit first. */
  code(value: number, count: number): this {
    for (let bit = count - 1; bit >= 0; bit -= 1) this.#bits.push((value >> bit) & 1);
    return this;
  }

  /** Bits up to the next byte, all of this value. */
  pad(bit: 0 | 1): this {
    while (this.#bits.length % 8 !== 0) this.#bits.push(bit);
    return this;
  }

  get bytes(): Buffer {
    const bytes = Buffer.alloc(Math.ceil(this.#bits.length / 8));
    for (const [index, bit] of this.#bits.entries())
      bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (bit << (index & 7));
    return bytes;
  }
}

/** Code of a symbol in a block with fixed codes. */
export function fixed(bits: BitWriter, symbol: number): BitWriter {
  if (symbol < 144) return bits.code(0x30 + symbol, 8);
  if (symbol < 256) return bits.code(0x190 + symbol - 144, 9);
  return symbol < 280 ? bits.code(symbol - 256, 7) : bits.code(0xc0 + symbol - 280, 8);
}
