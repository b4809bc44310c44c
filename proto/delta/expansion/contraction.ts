import type { Pieces } from '../bytes/bytes.ts';
import { DeflateWriter, Output } from '../deflate/deflate-writer.ts';
import { DeflateInvalid } from '../deflate/parse.ts';
import type { BlockReader } from '../deflate/parse-reader.ts';
import { NumberReader } from '../format/number-reader.ts';
import { type Segment, segmentOf } from './segments.ts';

/** An expansion that is read in order. */
export type ExpandedPieces = { content: Pieces; tokens: Pieces; segments: Pieces; blocks: BlockReader };

/** Stored bytes, made piece by piece from their expansion. Throws DeflateInvalid, DeltaInvalid if it does not fit. */
export class Contraction implements Pieces {
  piece: Uint8Array = new Uint8Array();
  at = 0;
  readonly #content: Pieces;
  readonly #segments: NumberReader;
  readonly #writer: DeflateWriter;
  readonly #output = new Output();
  #segment: Segment | undefined;
  /** Bytes of the segment that are left, unless it is a stream. */
  #left = 0;

  constructor({ content, tokens, segments, blocks }: ExpandedPieces) {
    this.#content = content;
    this.#segments = new NumberReader(segments);
    this.#writer = new DeflateWriter({ content, tokens, blocks }, this.#output);
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
    return segment;
  }

  #deflate(expected: number): void {
    const length = this.#writer.write();
    if (length === undefined) return;
    if (length !== expected) throw new DeflateInvalid('a deflate stream has another length');
    this.#segment = undefined;
  }

  #copy(): void {
    const [content, output] = [this.#content, this.#output];
    if (this.#left > 0 && content.at === content.piece.length && !content.refill()) {
      throw new DeflateInvalid('the content ends within a segment');
    }
    const length = Math.min(this.#left, output.free, content.piece.length - content.at);
    output.buffer.set(content.piece.subarray(content.at, content.at + length), output.filled);
    output.filled += length;
    content.at += length;
    this.#left -= length;
    if (this.#left === 0) this.#segment = undefined;
  }
}
