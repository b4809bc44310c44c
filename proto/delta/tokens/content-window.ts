import type { Pieces } from '../bytes/bytes.ts';
import { MAX_MATCH, WINDOW_BYTES } from '../deflate/symbols.ts';

const AHEAD_BYTES = 256 * 1024;

/** Content that is read in order, with the window that a match may refer to, and what follows. */
export class ContentWindow {
  readonly buffer = new Uint8Array(2 * WINDOW_BYTES + AHEAD_BYTES);
  /** Of `buffer`: the next byte, and the first that is not there. */
  at = 0;
  filled = 0;
  /** Place of the next byte in the content. */
  position = 0;
  readonly #pieces: Pieces;

  constructor(pieces: Pieces) {
    this.#pieces = pieces;
  }

  /** @returns bytes that follow in `buffer`: `count` or more of them, except at the end of the content */
  ahead(count: number): number {
    while (this.filled - this.at < count && this.#fill());
    return this.filled - this.at;
  }

  /** @param count not more than what follows in `buffer` */
  skip(count: number): void {
    this.at += count;
    this.position += count;
  }

  /**
   * How many of the next bytes are equal to those at a distance before them.
   * @param distance not longer than what was read, and than the window of deflate
   */
  matchLength(distance: number, max = MAX_MATCH): number {
    const length = Math.min(max, this.ahead(max));
    const { buffer, at } = this;
    let equal = 0;
    while (equal < length && buffer[at + equal] === buffer[at + equal - distance]) equal += 1;
    return equal;
  }

  #fill(): boolean {
    const pieces = this.#pieces;
    if (pieces.at === pieces.piece.length && !pieces.refill()) return false;
    if (this.filled === this.buffer.length) {
      const kept = Math.max(0, this.at - WINDOW_BYTES);
      this.buffer.copyWithin(0, kept, this.filled);
      this.at -= kept;
      this.filled -= kept;
    }
    const free = this.buffer.length - this.filled;
    const piece = pieces.piece.subarray(pieces.at, pieces.at + free);
    this.buffer.set(piece, this.filled);
    this.filled += piece.length;
    pieces.at += piece.length;
    return true;
  }
}
