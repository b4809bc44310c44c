import type { Bytes, Pieces } from '../bytes/bytes.ts';
import { DeflateTooLong } from '../deflate/parse.ts';
import { DeltaInvalid } from '../format/invalid.ts';
import { NumberReader } from '../format/number-reader.ts';
import type { Region } from '../format/regions.ts';
import { addDifference, NEW_DIFFERENCE, RecentDifferences, WORD_BYTES } from './recent-differences.ts';

const ALIGNED_BYTES = 256 * 1024;

export type ContentParts = {
  regions: Iterator<Region>;
  /** In regions: equal bytes before each difference. */
  equals: Pieces;
  /** Of each difference: its index among the recent ones, or that it is another one. */
  recents: Pieces;
  /** Of each other one: twice the number, or less 1 if it is negative. */
  differences: Pieces;
  /** All bytes that are in no region. */
  literals: Pieces;
  base: Bytes;
};

/** The content in order: literals, and regions that resemble the base. */
export class ContentPieces implements Pieces {
  piece: Uint8Array = new Uint8Array();
  at = 0;
  readonly #parts: ContentParts;
  readonly #equals: NumberReader;
  readonly #differences: NumberReader;
  readonly #recent = new RecentDifferences();
  readonly #buffer = new Uint8Array(ALIGNED_BYTES);
  /** The region that follows, or that is being read. */
  #region: Region | undefined;
  #isEnd = false;
  /** Place of the next byte. */
  #place = 0;
  /** Equal bytes of regions before the next one that differs. -1: their number follows. */
  #equal = -1;
  /** Bytes that may follow. */
  #left: number;

  constructor(parts: ContentParts, maxLength: number) {
    this.#parts = parts;
    this.#equals = new NumberReader(parts.equals);
    this.#differences = new NumberReader(parts.differences);
    this.#left = maxLength;
  }

  /** @throws DeltaInvalid; DeflateTooLong if it has more than the max length */
  refill(): boolean {
    if (!this.#next()) return false;
    this.at = 0;
    this.#place += this.piece.length;
    this.#left -= this.piece.length;
    if (this.#left < 0) throw new DeflateTooLong('the content is too long');
    return true;
  }

  #next(): boolean {
    if (this.#region && this.#place >= this.#region.at + this.#region.length) this.#region = undefined;
    if (!this.#region && !this.#isEnd) {
      const next = this.#parts.regions.next();
      if (next.done) this.#isEnd = true;
      else this.#region = next.value;
    }
    const region = this.#region;
    if (!region) return this.#literal(Number.POSITIVE_INFINITY);
    if (this.#place >= region.at) return this.#aligned(region);
    if (!this.#literal(region.at - this.#place)) {
      throw new DeltaInvalid('the new content ends before a region');
    }
    return true;
  }

  #literal(max: number): boolean {
    const { literals } = this.#parts;
    if (literals.at === literals.piece.length && !literals.refill()) return false;
    this.piece = literals.piece.subarray(literals.at, literals.at + max);
    literals.at += this.piece.length;
    return true;
  }

  #aligned({ at, from, length }: Region): boolean {
    const done = this.#place - at;
    const piece = this.#buffer.subarray(0, Math.min(length - done, ALIGNED_BYTES));
    if (this.#parts.base.read(piece, from + done) < piece.length) {
      throw new DeltaInvalid('a region reaches behind the base');
    }
    this.piece = piece.subarray(0, this.#change(piece, done + piece.length === length));
    return true;
  }

  /** @returns how many bytes are complete: all, unless a difference may continue behind them */
  #change(piece: Uint8Array, isEnd: boolean): number {
    for (let at = 0; ; ) {
      // Without another number, all that is left is equal.
      if (this.#equal < 0) this.#equal = this.#equals.next() ?? Number.POSITIVE_INFINITY;
      const equal = Math.min(this.#equal, piece.length - at);
      at += equal;
      this.#equal -= equal;
      if (at === piece.length) return at;
      if (at + WORD_BYTES > piece.length && !isEnd) return at;
      addDifference(piece, at, this.#difference());
      at = Math.min(piece.length, at + WORD_BYTES);
      this.#equal = -1;
    }
  }

  #difference(): number {
    const { recents } = this.#parts;
    if (recents.at === recents.piece.length && !recents.refill()) {
      throw new DeltaInvalid('there are fewer differences than places of them');
    }
    const index = recents.piece[recents.at] as number;
    recents.at += 1;
    const number = index === NEW_DIFFERENCE ? this.#differences.required() : undefined;
    const difference =
      number === undefined ? this.#recent.at(index) : number % 2 === 1 ? -(number + 1) / 2 : number / 2;
    if (difference === undefined || difference !== (difference | 0)) {
      throw new DeltaInvalid('a difference is out of its range');
    }
    this.#recent.take(difference);
    return difference;
  }
}
