import type { Bytes, Pieces } from '../bytes/bytes.ts';
import { DeflateTooLong } from '../deflate/parse.ts';
import type { Copy } from '../format/copies.ts';
import { DeltaInvalid } from '../format/invalid.ts';

const COPIED_BYTES = 256 * 1024;

/** The content in order: new bytes and copies. */
export class ContentPieces implements Pieces {
  piece: Uint8Array = new Uint8Array();
  at = 0;
  readonly #copies: Iterator<Copy>;
  readonly #literals: Pieces;
  readonly #base: Bytes;
  readonly #buffer = new Uint8Array(COPIED_BYTES);
  #copy: Copy | undefined;
  #isEnd = false;
  /** Bytes that may follow. */
  #left: number;

  constructor(copies: Iterator<Copy>, literals: Pieces, base: Bytes, maxLength: number) {
    this.#left = maxLength;
    this.#copies = copies;
    this.#literals = literals;
    this.#base = base;
  }

  /** @throws DeltaInvalid; DeflateTooLong if it has more than the max length */
  refill(): boolean {
    if (!this.#next()) return false;
    this.#left -= this.piece.length;
    if (this.#left < 0) throw new DeflateTooLong('the content is too long');
    return true;
  }

  #next(): boolean {
    for (;;) {
      if (!this.#copy && !this.#isEnd) {
        const next = this.#copies.next();
        if (next.done) this.#isEnd = true;
        else this.#copy = { ...next.value };
      }
      const copy = this.#copy;
      if (!copy || copy.skipped > 0) return this.#literal(copy);
      if (copy.length > 0) return this.#copied(copy);
      this.#copy = undefined;
    }
  }

  #literal(copy: Copy | undefined): boolean {
    const literals = this.#literals;
    if (literals.at === literals.piece.length && !literals.refill()) {
      if (copy) throw new DeltaInvalid('the new content ends before a copy');
      return false;
    }
    this.piece = literals.piece.subarray(literals.at, copy && literals.at + copy.skipped);
    this.at = 0;
    literals.at += this.piece.length;
    if (copy) copy.skipped -= this.piece.length;
    return true;
  }

  #copied(copy: Copy): boolean {
    const target = this.#buffer.subarray(0, Math.min(copy.length, COPIED_BYTES));
    if (this.#base.read(target, copy.from) < target.length)
      throw new DeltaInvalid('a copy reaches behind the base');
    copy.from += target.length;
    copy.length -= target.length;
    this.piece = target;
    this.at = 0;
    return true;
  }
}
