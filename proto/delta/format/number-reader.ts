import type { Pieces } from '../bytes/bytes.ts';
import { readVarint } from '../bytes/varint.ts';
import { DeltaInvalid } from './invalid.ts';

const MAX_NUMBER_BYTES = 8;

/** Reads the numbers of a stream in order, while its pieces come. */
export class NumberReader {
  readonly #pieces: Pieces;
  readonly #carry = new Uint8Array(MAX_NUMBER_BYTES);

  constructor(pieces: Pieces) {
    this.#pieces = pieces;
  }

  /** @returns undefined at the end @throws DeltaInvalid if a number is damaged */
  next(): number | undefined {
    const pieces = this.#pieces;
    if (pieces.at === pieces.piece.length && !pieces.refill()) return undefined;
    const read = readVarint(pieces.piece, pieces.at);
    if (!read) return this.#across();
    pieces.at = read.end;
    return read.value;
  }

  /** The next number, which must be there. @throws DeltaInvalid */
  required(): number {
    const value = this.next();
    if (value === undefined) throw new DeltaInvalid('a list ends within an entry');
    return value;
  }

  /** A number that is split between pieces. */
  #across(): number {
    const pieces = this.#pieces;
    for (let filled = 0; filled < MAX_NUMBER_BYTES; ) {
      if (pieces.at === pieces.piece.length && !pieces.refill()) break;
      this.#carry[filled] = pieces.piece[pieces.at] as number;
      pieces.at += 1;
      filled += 1;
      const read = readVarint(this.#carry.subarray(0, filled), 0);
      if (read) return read.value;
    }
    throw new DeltaInvalid('a number of a list is damaged');
  }
}
