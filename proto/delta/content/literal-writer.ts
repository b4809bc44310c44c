import type { ByteSink, Bytes } from '../bytes/bytes.ts';
import { lengthOf, merged, type Range } from '../bytes/range.ts';
import { PieceWriter } from '../format/piece.ts';
import type { References } from '../matching/references.ts';

/** Smaller pieces are compressed with what is nearer. */
const PIECE_BYTES = 512 * 1024;
/** With fewer bytes, a piece gets no more references than allowed. Else another one begins. */
const MIN_PIECE_BYTES = PIECE_BYTES / 2;
/** Fewer references than the format allows for a piece: memory is needed for them. 32 times those bytes. */
const USED_BYTES = 8 * 1024 * 1024;

/** Collects content that is in no region, and what it is compressed with, for one piece after the other. */
export class LiteralWriter {
  /** Bytes of the stream. */
  length = 0;
  readonly #after: Bytes;
  readonly #before: Bytes;
  readonly #references: References;
  readonly #writer: PieceWriter;
  readonly #buffer = new Uint8Array(PIECE_BYTES);
  #filled = 0;
  #used: Range[] = [];
  #isFull = false;

  constructor(after: Bytes, before: Bytes, references: References, section: ByteSink) {
    this.#after = after;
    this.#before = before;
    this.#references = references;
    this.#writer = new PieceWriter(before, section);
  }

  /** Adds a range of the new content. */
  add({ start, end }: Range): void {
    for (let at = start; at < end; ) {
      const length = Math.min(end - at, PIECE_BYTES - this.#filled);
      this.#add({ start: at, end: at + length });
      at += length;
    }
    this.length += end - start;
  }

  /** Writes what is left. */
  end(): void {
    if (this.#filled > 0) this.#writer.write(this.#buffer.subarray(0, this.#filled), this.#used);
    this.#filled = 0;
    this.#used = [];
    this.#isFull = false;
  }

  #add(range: Range): void {
    const near = this.#references.of(range);
    const used = this.#isFull ? this.#used : merged([...this.#used, ...near], this.#before.size);
    if (lengthOf(used) <= USED_BYTES) this.#used = used;
    else if (this.#filled >= MIN_PIECE_BYTES) {
      this.end();
      this.#used = bounded(merged(near, this.#before.size));
    } else {
      // What is small does not need all of them.
      this.#used = bounded(used);
      this.#isFull = true;
    }
    const length = range.end - range.start;
    this.#after.read(this.#buffer.subarray(this.#filled, this.#filled + length), range.start);
    this.#filled += length;
    if (this.#filled === PIECE_BYTES) this.end();
  }
}

/** The first ranges, as far as memory allows. */
function bounded(ranges: readonly Range[]): Range[] {
  let left = USED_BYTES;
  return ranges.flatMap(({ start, end }) => {
    const length = Math.min(left, end - start);
    left -= length;
    return length > 0 ? [{ start, end: start + length }] : [];
  });
}
