import type { ByteSink } from '../bytes/bytes.ts';
import { writeVarint } from '../bytes/varint.ts';
import { BlockType } from './block-header.ts';
import { HAS_PADDING, LAST_BLOCK, LONG_257, LONG_258_AS_284, MAX_RUN } from './parse.ts';
import { MAX_MATCH } from './symbols.ts';

const BUFFER_BYTES = 256 * 1024;
/** Content between two known places. */
const PLACE_BYTES = 16 * 1024;
/** Max bytes of one match: the rest of a run before it, and the longest form. */
const MAX_MATCH_BYTES = 8;
/** Header of a block with dynamic codes: 14 bits, 19 lengths of 3, and 316 of up to 14 with their extra bits. */
const MAX_BLOCK_BYTES = 1_024;

/** Where the parse of a stream is written. */
export type ParseSink = {
  tokens: ByteSink & { readonly size: number };
  blocks: ByteSink;
  /** Called at times with a place in the content of the stream where a token begins, and the place of that token. */
  onPlace?: (content: number, tokens: number) => void;
};

export type BlockRecord = {
  type: number;
  isLast: boolean;
  /** Bytes of a stored block, symbols of another one. */
  count: number;
  padding: number;
  /** Of dynamic codes. */
  header?: { bits: number; bytes: Uint8Array };
};

/** Writes the parse of one stream, see `parse.ts`. */
export class ParseWriter {
  readonly #sink: ParseSink;
  readonly #tokens = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  /** Literals that are not written. */
  #run = 0;
  /** Content of the tokens of the stream, and the next place that is named. */
  #content = 0;
  #placeAt = PLACE_BYTES;
  readonly #block = new Uint8Array(MAX_BLOCK_BYTES);

  constructor(sink: ParseSink) {
    this.#sink = sink;
  }

  /** Place of the next token, if the last one was no literal. */
  get tokensAt(): number {
    return this.#sink.tokens.size + this.#filled;
  }

  literal(): void {
    this.#run += 1;
    if (this.#run === MAX_RUN) this.#endRun();
  }

  literals(count: number): void {
    for (let left = count; left > 0; left -= 1) this.literal();
  }

  /** @param length 3 to 258 @param isLong whether 258 is coded as 284 and 31 */
  match(length: number, distance: number, isLong: boolean): void {
    if (this.#filled + MAX_MATCH_BYTES > BUFFER_BYTES) this.#flush();
    if (this.#run > 0) this.#endRun();
    const tokens = this.#tokens;
    let at = this.#filled;
    if (length < MAX_MATCH - 1) {
      tokens[at] = length - 1;
      at += 1;
    } else if (length === MAX_MATCH && !isLong) {
      tokens[at] = 1;
      at += 1;
    } else {
      tokens[at] = 0;
      tokens[at + 1] = 0;
      tokens[at + 2] = isLong ? LONG_258_AS_284 : LONG_257;
      at += 3;
    }
    tokens[at] = (distance - 1) & 255;
    tokens[at + 1] = (distance - 1) >> 8;
    this.#filled = at + 2;
    this.#made(length);
  }

  block({ type, isLast, count, padding, header }: BlockRecord): void {
    const block = this.#block;
    block[0] = type | (isLast ? LAST_BLOCK : 0) | (padding > 0 ? HAS_PADDING : 0);
    let at = 1;
    if (padding > 0) {
      block[at] = padding;
      at += 1;
    }
    at = writeVarint(block, at, count);
    if (type === BlockType.dynamic && header) {
      at = writeVarint(block, at, header.bits);
      block.set(header.bytes, at);
      at += header.bytes.length;
    }
    this.#sink.blocks.append(block.subarray(0, at));
  }

  /** No run reaches over the end of a stream. */
  endStream(): void {
    if (this.#run > 0) this.#endRun();
    this.#content = 0;
    this.#placeAt = PLACE_BYTES;
  }

  /** Writes what is left. */
  end(): void {
    this.#flush();
  }

  #endRun(): void {
    if (this.#filled + 2 > BUFFER_BYTES) this.#flush();
    this.#tokens[this.#filled] = 0;
    this.#tokens[this.#filled + 1] = this.#run;
    this.#filled += 2;
    const run = this.#run;
    this.#run = 0;
    this.#made(run);
  }

  #made(length: number): void {
    this.#content += length;
    if (this.#content < this.#placeAt) return;
    this.#placeAt = this.#content + PLACE_BYTES;
    this.#sink.onPlace?.(this.#content, this.tokensAt);
  }

  #flush(): void {
    if (this.#filled > 0) this.#sink.tokens.append(this.#tokens.subarray(0, this.#filled));
    this.#filled = 0;
  }
}
