import type { Bytes, Pieces } from '../bytes/bytes.ts';
import { lengthOf } from '../bytes/range.ts';
import type { Dictionary } from './dictionary.ts';
import { DeltaInvalid } from './invalid.ts';
import { PieceReader, readHead } from './piece.ts';

/** Bounds of the work that any pieces of a section may cause. */
const MIN_PIECE_SHARE = 4 * 1024;
const SPARE_PIECES = 64;
const MAX_REFERENCE_FACTOR = 32;
const SPARE_REFERENCE_BYTES = 64 * 1024 * 1024;

/** Content of a section, piece by piece. */
export class SectionReader implements Pieces {
  piece: Uint8Array = new Uint8Array();
  at = 0;
  readonly #section: Bytes;
  readonly #reader: PieceReader;
  readonly #length: number;
  #next = 0;
  #read = 0;
  #pieces = 0;
  #referenced = 0;

  /** @param length of the stream, in bytes @param dictionary one for all sections that are read in turn */
  constructor(section: Bytes, base: Bytes, length: number, dictionary: Dictionary) {
    this.#section = section;
    this.#reader = new PieceReader(section, base, dictionary);
    this.#length = length;
  }

  /** @throws DeltaInvalid */
  refill(): boolean {
    if (this.#next === this.#section.size) {
      if (this.#read !== this.#length) throw new DeltaInvalid('a stream has another length');
      return false;
    }
    const head = readHead(this.#section, this.#next);
    this.#pieces += 1;
    this.#read += head.length;
    this.#referenced += lengthOf(head.references);
    const length = this.#length;
    if (this.#read > length) throw new DeltaInvalid('a stream is longer than declared');
    if (this.#pieces > SPARE_PIECES + length / MIN_PIECE_SHARE)
      throw new DeltaInvalid('a section has too many pieces');
    if (this.#referenced > SPARE_REFERENCE_BYTES + length * MAX_REFERENCE_FACTOR) {
      throw new DeltaInvalid('the references of a section are too long');
    }
    this.piece = this.#reader.read(head);
    this.at = 0;
    this.#next = head.frameAt + head.frameLength;
    return true;
  }
}
