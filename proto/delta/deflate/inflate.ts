import type { ByteSink, Bytes } from '../bytes/bytes.ts';
import { BlockType, type CodeLengths, readDynamicHeader, tablesOf } from './block-header.ts';
import type { DecodeTable } from './huffman.ts';
import { BitInput } from './input.ts';
import { DeflateInvalid, DeflateTooLong } from './parse.ts';
import { type ParseSink, ParseWriter } from './parse-writer.ts';
import {
  DISTANCE_BASE,
  DISTANCE_BITS,
  END_OF_BLOCK,
  FIRST_LENGTH,
  FIXED_DISTANCE_LENGTHS,
  FIXED_LITERAL_LENGTHS,
  LENGTH_BASE,
  LENGTH_BITS,
  MAX_DISTANCE_SYMBOLS,
  MAX_LITERAL_SYMBOLS,
  MAX_MATCH,
  WINDOW_BYTES,
} from './symbols.ts';

/** Bytes of content that are collected before they are written. */
const CONTENT_BYTES = 256 * 1024;
/** Symbol 284 with all of its extra bits set is a length of 258, which has a symbol of its own. */
const LONG_SYMBOL = 284 - FIRST_LENGTH;
/** Bytes of the input that one turn of the loop may take. */
const TURN_BYTES = 12;

export type InflateSinks = ParseSink & {
  content: ByteSink & { readonly size: number };
};

export type Inflated = {
  /** Place behind the stream. */
  end: number;
  /** Bytes of its content. */
  length: number;
};

const FIXED = tablesOf({ literals: FIXED_LITERAL_LENGTHS, distances: FIXED_DISTANCE_LENGTHS });

/** Inflates deflate streams of one source, and keeps their parse. */
export class Inflater {
  readonly #input: BitInput;
  readonly #sinks: InflateSinks;
  readonly #parse: ParseWriter;
  #maxWritten = 0;
  /** The last 32 KiB of what was written, then what is not. */
  readonly #out = new Uint8Array(WINDOW_BYTES + CONTENT_BYTES + MAX_MATCH);
  /** Next byte of `out`, and the first that is not written. */
  #next = 0;
  #unwritten = 0;
  #written = 0;
  /** Place of the stream. */
  #begin = 0;

  constructor(source: Bytes, sinks: InflateSinks) {
    this.#input = new BitInput(source);
    this.#sinks = sinks;
    this.#parse = new ParseWriter(sinks);
  }

  /** Place of the next token, between two streams. */
  get tokensAt(): number {
    return this.#parse.tokensAt;
  }

  /** Work of the last stream, also of one that is damaged: bytes read of it, and made but not written. */
  get effort(): number {
    return this.#input.at - this.#begin + this.#next - this.#unwritten;
  }

  /**
   * Inflates the stream at `at`.
   * @param maxLength of its content, in bytes
   * @throws DeflateInvalid, DeflateTooLong; what the sinks received then is part of it
   */
  inflate(at: number, maxLength: number): Inflated {
    const input = this.#input;
    input.moveTo(at);
    this.#begin = at;
    this.#next = 0;
    this.#unwritten = 0;
    const before = this.#written;
    this.#maxWritten = before + maxLength;
    for (let isLast = false; !isLast; ) {
      isLast = input.take(1) === 1;
      const type = input.take(2);
      if (type === BlockType.stored) this.#stored(isLast);
      else if (type === BlockType.fixed || type === BlockType.dynamic) this.#coded(type, isLast);
      else throw new DeflateInvalid('a block has an unknown type');
    }
    this.#write();
    this.#parse.endStream();
    return { end: input.at, length: this.#written - before };
  }

  /** Writes what the sinks did not receive. */
  end(): void {
    this.#parse.end();
  }

  #stored(isLast: boolean): void {
    const input = this.#input;
    const padding = input.padding();
    const count = input.take(16);
    if (input.take(16) !== (count ^ 0xffff))
      throw new DeflateInvalid('the length of a stored block is damaged');
    this.#parse.block({ type: BlockType.stored, isLast, count, padding });
    this.#parse.literals(count);
    for (let left = count; left > 0; ) {
      const free = this.#unwritten + CONTENT_BYTES - this.#next;
      if (free <= 0) {
        this.#write();
        continue;
      }
      const piece = input.takeBytes(Math.min(left, free));
      this.#out.set(piece, this.#next);
      this.#next += piece.length;
      left -= piece.length;
    }
  }

  #coded(type: number, isLast: boolean): void {
    const header = type === BlockType.dynamic ? this.#header() : undefined;
    const tables = header ? tablesOf(header.lengths) : FIXED;
    if (!tables) throw new DeflateInvalid('the codes of a block are invalid');
    const count = this.#symbols(tables.literalTable, tables.distanceTable);
    const padding = isLast ? this.#input.padding() : 0;
    this.#parse.block({ type, isLast, count, padding, ...(header && { header }) });
  }

  #header(): { lengths: CodeLengths; bits: number; bytes: Uint8Array } {
    const bytes: number[] = [];
    let bits = 0;
    const lengths = readDynamicHeader((count) => {
      const value = this.#input.take(count);
      for (let bit = 0; bit < count; bit += 1, bits += 1) {
        if (bits % 8 === 0) bytes.push(0);
        bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) | (((value >> bit) & 1) << (bits % 8));
      }
      return value;
    });
    if (!lengths) throw new DeflateInvalid('the header of a block is invalid');
    return { lengths, bits, bytes: Uint8Array.from(bytes) };
  }

  /**
   * Reads the symbols of a block. Its variables are copies of the fields: this loop is where the time is spent.
   * @returns their number
   */
  #symbols(literals: DecodeTable, distances: DecodeTable): number {
    const [input, out, parse] = [this.#input, this.#out, this.#parse];
    const { buffer } = input;
    const [literalEntries, distanceEntries] = [literals.entries, distances.entries];
    const [literalMask, distanceMask] = [literalEntries.length - 1, distanceEntries.length - 1];
    let { next: at, hold, bits } = input;
    let end = input.filled - TURN_BYTES;
    let next = this.#next;
    let limit = this.#unwritten + CONTENT_BYTES;
    for (let count = 0; ; count += 1) {
      if (at > end) {
        input.set(at, hold, bits);
        input.ensure(TURN_BYTES + 1);
        at = input.next;
        hold = input.hold;
        bits = input.bits;
        // What is read behind the end of the source is nothing; `set` throws once some of it was used.
        end = Math.max(at, input.filled - TURN_BYTES);
      }
      if (next >= limit) {
        this.#next = next;
        this.#write();
        next = this.#next;
        limit = this.#unwritten + CONTENT_BYTES;
      }
      while (bits <= 24) {
        hold |= (buffer[at] as number) << bits;
        at += 1;
        bits += 8;
      }
      const entry = literalEntries[hold & literalMask] as number;
      const used = entry & 15;
      if (used === 0) throw new DeflateInvalid('a code is not used');
      hold >>>= used;
      bits -= used;
      const symbol = entry >> 4;
      if (symbol < END_OF_BLOCK) {
        out[next] = symbol;
        next += 1;
        parse.literal();
        continue;
      }
      if (symbol === END_OF_BLOCK) {
        this.#next = next;
        input.set(at, hold, bits);
        return count;
      }
      if (symbol >= MAX_LITERAL_SYMBOLS) throw new DeflateInvalid('a length has no meaning');
      const lengthBits = LENGTH_BITS[symbol - FIRST_LENGTH] as number;
      const extra = hold & ((1 << lengthBits) - 1);
      const length = (LENGTH_BASE[symbol - FIRST_LENGTH] as number) + extra;
      hold >>>= lengthBits;
      bits -= lengthBits;
      while (bits <= 24) {
        hold |= (buffer[at] as number) << bits;
        at += 1;
        bits += 8;
      }
      const far = distanceEntries[hold & distanceMask] as number;
      const farUsed = far & 15;
      const farSymbol = far >> 4;
      if (farUsed === 0 || farSymbol >= MAX_DISTANCE_SYMBOLS)
        throw new DeflateInvalid('a distance has no meaning');
      hold >>>= farUsed;
      bits -= farUsed;
      const distanceBits = DISTANCE_BITS[farSymbol] as number;
      while (bits < distanceBits) {
        hold |= (buffer[at] as number) << bits;
        at += 1;
        bits += 8;
      }
      const distance = (DISTANCE_BASE[farSymbol] as number) + (hold & ((1 << distanceBits) - 1));
      hold >>>= distanceBits;
      bits -= distanceBits;
      if (distance > next) throw new DeflateInvalid('a distance reaches before the content');
      parse.match(length, distance, length === MAX_MATCH && symbol - FIRST_LENGTH === LONG_SYMBOL);
      const stop = next + length;
      if (length > 24 && distance >= length) out.copyWithin(next, next - distance, stop - distance);
      else if (distance === 1) out.fill(out[next - 1] as number, next, stop);
      else
        for (let to = next, from = next - distance; to < stop; to += 1, from += 1)
          out[to] = out[from] as number;
      next = stop;
    }
  }

  /** Writes the collected content, and moves the window to the front. */
  #write(): void {
    const [from, to] = [this.#unwritten, this.#next];
    this.#written += to - from;
    if (this.#written > this.#maxWritten) throw new DeflateTooLong('the content is too long');
    if (to > from) this.#sinks.content.append(this.#out.subarray(from, to));
    const kept = Math.min(to, WINDOW_BYTES);
    this.#out.copyWithin(0, to - kept, to);
    this.#next = kept;
    this.#unwritten = kept;
  }
}
