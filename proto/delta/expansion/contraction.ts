import type { Pieces } from '../bytes/bytes.ts';
import { DeflateInvalid } from '../deflate/parse.ts';
import type { BlockReader } from '../deflate/parse-reader.ts';
import { NumberReader } from '../format/number-reader.ts';
import type { ContentWindow } from '../tokens/content-window.ts';
import type { TokenDecoder } from '../tokens/decode-tokens.ts';
import { DeflateWriter, Output } from './deflate-writer.ts';
import { type Segment, segmentOf } from './segments.ts';

/** An expansion that is read in order. */
export type ExpandedPieces = {
  window: ContentWindow;
  tokens: TokenDecoder;
  segments: Pieces;
  blocks: BlockReader;
};

/** Stored bytes, made piece by piece from their expansion. Throws DeflateInvalid, DeltaInvalid if it does not fit. */
export class Contraction implements Pieces {
  piece: Uint8Array = new Uint8Array();
  at = 0;
  readonly #window: ContentWindow;
  readonly #tokens: TokenDecoder;
  readonly #segments: NumberReader;
  readonly #writer: DeflateWriter;
  readonly #output = new Output();
  #segment: Segment | undefined;
  /** Bytes of the segment that are left, unless it is a stream. */
  #left = 0;

  constructor({ window, tokens, segments, blocks }: ExpandedPieces) {
    this.#window = window;
    this.#tokens = tokens;
    this.#segments = new NumberReader(segments);
    this.#writer = new DeflateWriter({ window, tokens, blocks }, this.#output);
  }

  refill(): boolean {
    const output = this.#output;
    output.filled = 0;
    while (!output.isFull) {
      this.#segment ??= this.#next();
      if (!this.#segment) break;
      if (this.#segment.isDeflate) this.#deflate(this.#segment.length);
      else this.#copy();
    }
    this.piece = output.buffer.subarray(0, output.filled);
    this.at = 0;
    return output.filled > 0;
  }

  #next(): Segment | undefined {
    const number = this.#segments.next();
    if (number === undefined) return undefined;
    const segment = segmentOf(number);
    if (number === 0) throw new DeflateInvalid('a segment is empty');
    this.#left = segment.length;
    if (segment.isDeflate) this.#tokens.beginStream(segment.length);
    return segment;
  }

  #deflate(expected: number): void {
    const length = this.#writer.write();
    if (length === undefined) return;
    if (length !== expected) throw new DeflateInvalid('a deflate stream has another length');
    this.#segment = undefined;
  }

  #copy(): void {
    const [window, output] = [this.#window, this.#output];
    const length = Math.min(this.#left, output.free, window.ahead(1));
    if (length === 0 && this.#left > 0 && !output.isFull) {
      throw new DeflateInvalid('the content ends within a segment');
    }
    output.buffer.set(window.buffer.subarray(window.at, window.at + length), output.filled);
    output.filled += length;
    window.skip(length);
    this.#left -= length;
    if (this.#left === 0) this.#segment = undefined;
  }
}
