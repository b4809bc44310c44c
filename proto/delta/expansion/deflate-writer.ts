import { BlockType, type CodeLengths, readDynamicHeader } from '../deflate/block-header.ts';
import { codesOf } from '../deflate/huffman.ts';
import { DeflateInvalid } from '../deflate/parse.ts';
import type { BlockReader } from '../deflate/parse-reader.ts';
import type { BlockRecord } from '../deflate/parse-writer.ts';
import {
  DISTANCE_BASE,
  DISTANCE_BITS,
  DISTANCE_SYMBOL,
  END_OF_BLOCK,
  FIRST_LENGTH,
  FIXED_DISTANCE_LENGTHS,
  FIXED_LITERAL_LENGTHS,
  LENGTH_BASE,
  LENGTH_BITS,
  LENGTH_SYMBOL,
} from '../deflate/symbols.ts';
import type { ContentWindow } from '../tokens/content-window.ts';
import type { TokenDecoder } from '../tokens/decode-tokens.ts';

const BUFFER_BYTES = 256 * 1024;
/** Space that is kept for what is written at once: a symbol with its extra bits, or the header of a block. */
const SPARE_BYTES = 1_024;
/** Literals that are written at once: of 15 bits at most. */
const MAX_LITERALS = 512;
const LONG_SYMBOL = 284;
const MAX_STORED = 0xffff;

type Codes = { lengths: Uint8Array; codes: Uint16Array };
type BlockCodes = { literals: Codes; distances: Codes };

/** Where stored bytes are collected, with space for what is written at once. */
export class Output {
  readonly buffer = new Uint8Array(BUFFER_BYTES + SPARE_BYTES);
  filled = 0;

  get isFull(): boolean {
    return this.filled >= BUFFER_BYTES;
  }

  /** Free bytes without the spare ones. */
  get free(): number {
    return Math.max(0, BUFFER_BYTES - this.filled);
  }
}

/** Makes deflate streams from their content and their parse, see `deflate/parse.ts`. It never searches for a match. */
export class DeflateWriter {
  readonly #window: ContentWindow;
  readonly #tokens: TokenDecoder;
  readonly #blocks: BlockReader;
  readonly #output: Output;
  #hold = 0;
  #bits = 0;
  /** Literals that are left of a run. */
  #run = 0;
  /** The block that is being written, and its symbols or bytes that are left. */
  #block: (BlockRecord & { codes?: BlockCodes }) | undefined;
  #left = 0;
  #length = 0;

  constructor(parse: { window: ContentWindow; tokens: TokenDecoder; blocks: BlockReader }, output: Output) {
    this.#window = parse.window;
    this.#tokens = parse.tokens;
    this.#blocks = parse.blocks;
    this.#output = output;
  }

  /**
   * Continues the stream until the output is full.
   * @returns the length of the content of the stream, once it is complete; the next call begins the next stream
   * @throws DeflateInvalid if content or parse end before the stream, or do not fit
   */
  write(): number | undefined {
    while (!this.#output.isFull) {
      this.#block ??= this.#begin();
      const block = this.#block;
      if (block.codes) this.#symbols(block.codes);
      else this.#stored();
      if (this.#left > 0) continue;
      if (block.codes) this.#symbol(block.codes.literals, END_OF_BLOCK);
      this.#block = undefined;
      if (block.isLast) return this.#end(block);
    }
    return undefined;
  }

  #begin(): BlockRecord & { codes?: BlockCodes } {
    const block = this.#blocks.next();
    const { type, isLast, count, padding, header } = block;
    this.#left = count;
    this.#put(Number(isLast), 1);
    this.#put(type, 2);
    if (type === BlockType.stored) {
      if (count > MAX_STORED) throw new DeflateInvalid('a stored block is too long');
      this.#pad(padding);
      this.#put(count, 16);
      this.#put(count ^ MAX_STORED, 16);
      return block;
    }
    if (type === BlockType.fixed) return { ...block, codes: FIXED };
    if (!header) throw new DeflateInvalid('a block has an unknown type');
    const { literals, distances } = this.#header(header);
    return { ...block, codes: { literals: codesWith(literals), distances: codesWith(distances) } };
  }

  #end({ type, padding }: BlockRecord): number {
    if (type !== BlockType.stored) this.#pad(padding);
    const length = this.#length;
    this.#length = 0;
    return length;
  }

  #stored(): void {
    const [window, output] = [this.#window, this.#output];
    if (this.#left === 0 || output.isFull) return;
    if (this.#run === 0) this.#take();
    if (this.#run === 0) throw new DeflateInvalid('a stored block has a match');
    const length = Math.min(this.#run, output.free, window.ahead(1));
    output.buffer.set(window.buffer.subarray(window.at, window.at + length), output.filled);
    output.filled += length;
    this.#used(length);
  }

  #header({ bits, bytes }: { bits: number; bytes: Uint8Array }): CodeLengths {
    let at = 0;
    const lengths = readDynamicHeader((count) => {
      let value = 0;
      for (let bit = 0; bit < count; bit += 1, at += 1) {
        value |= (((bytes[at >> 3] ?? 0) >> (at & 7)) & 1) << bit;
      }
      this.#put(value, count);
      return value;
    });
    if (!lengths || at !== bits) throw new DeflateInvalid('the header of a block is invalid');
    return lengths;
  }

  /** Writes symbols until the block ends or the output is full. */
  #symbols({ literals, distances }: BlockCodes): void {
    const [window, output] = [this.#window, this.#output];
    while (this.#left > 0 && !output.isFull) {
      if (this.#run === 0 && !this.#take()) {
        this.#match(literals, distances);
        continue;
      }
      const count = Math.min(this.#run, MAX_LITERALS, window.ahead(1));
      this.#literals(window.buffer, window.at, count, literals);
      this.#used(count);
    }
  }

  /** Takes a token, of which the content must be there. @returns whether it is a run of literals */
  #take(): boolean {
    const tokens = this.#tokens;
    tokens.take(this.#left);
    if (tokens.distance > 0) return false;
    this.#run = tokens.length;
    return true;
  }

  /** Bytes of a run that were written. */
  #used(count: number): void {
    if (count === 0) throw new DeflateInvalid('content or parse end before the stream');
    this.#window.skip(count);
    this.#run -= count;
    this.#left -= count;
    this.#length += count;
  }

  #literals(piece: Uint8Array, from: number, count: number, { lengths, codes }: Codes): void {
    const { buffer } = this.#output;
    let [hold, bits, filled] = [this.#hold, this.#bits, this.#output.filled];
    for (let at = from; at < from + count; at += 1) {
      const symbol = piece[at] as number;
      const used = lengths[symbol] as number;
      if (used === 0) throw new DeflateInvalid('a literal has no code');
      hold |= (codes[symbol] as number) << bits;
      bits += used;
      while (bits >= 8) {
        buffer[filled] = hold;
        filled += 1;
        hold >>>= 8;
        bits -= 8;
      }
    }
    this.#hold = hold;
    this.#bits = bits;
    this.#output.filled = filled;
  }

  #match(literals: Codes, distances: Codes): void {
    const { length, distance, isLong } = this.#tokens;
    const symbol = isLong ? LONG_SYMBOL - FIRST_LENGTH : (LENGTH_SYMBOL[length] as number);
    this.#symbol(literals, symbol + FIRST_LENGTH);
    this.#put(length - (LENGTH_BASE[symbol] as number), LENGTH_BITS[symbol] as number);
    const far = DISTANCE_SYMBOL[distance] as number;
    this.#symbol(distances, far);
    this.#put(distance - (DISTANCE_BASE[far] as number), DISTANCE_BITS[far] as number);
    if (this.#window.ahead(length) < length) {
      throw new DeflateInvalid('content or parse end before the stream');
    }
    this.#window.skip(length);
    this.#left -= 1;
    this.#length += length;
  }

  #symbol({ lengths, codes }: Codes, symbol: number): void {
    const used = lengths[symbol];
    if (!used) throw new DeflateInvalid('a symbol has no code');
    this.#put(codes[symbol] as number, used);
  }

  /** @param count 0 to 16 */
  #put(value: number, count: number): void {
    const output = this.#output;
    this.#hold |= value << this.#bits;
    this.#bits += count;
    while (this.#bits >= 8) {
      output.buffer[output.filled] = this.#hold;
      output.filled += 1;
      this.#hold >>>= 8;
      this.#bits -= 8;
    }
  }

  /** Sets the bits up to the next byte. */
  #pad(padding: number): void {
    const free = (8 - this.#bits) & 7;
    if (padding >= 1 << free) throw new DeflateInvalid('the padding is too long');
    this.#put(padding, free);
  }
}

function codesWith(lengths: Uint8Array): Codes {
  const codes = codesOf(lengths);
  if (!codes) throw new DeflateInvalid('the codes of a block are invalid');
  return { lengths, codes };
}

const FIXED: BlockCodes = {
  literals: codesWith(FIXED_LITERAL_LENGTHS),
  distances: codesWith(FIXED_DISTANCE_LENGTHS),
};
