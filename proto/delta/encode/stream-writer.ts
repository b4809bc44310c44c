import { type ByteSink, NOTHING } from '../bytes/bytes.ts';
import { PieceWriter } from '../format/piece.ts';

const PIECE_BYTES = 1024 * 1024;

/** Writes the section of a stream that has no references. */
export class StreamWriter implements ByteSink {
  /** Bytes of the stream. */
  length = 0;
  readonly #writer: PieceWriter;
  #buffer = new Uint8Array(4 * 1024);
  #filled = 0;

  constructor(section: ByteSink) {
    this.#writer = new PieceWriter(NOTHING, section);
  }

  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === PIECE_BYTES) this.end();
      if (this.#filled === this.#buffer.length) this.#grow();
      const piece = bytes.subarray(at, at + this.#buffer.length - this.#filled);
      this.#buffer.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
    }
    this.length += bytes.length;
  }

  /** Writes what is left. */
  end(): void {
    if (this.#filled > 0) this.#writer.write(this.#buffer.subarray(0, this.#filled), []);
    this.#filled = 0;
  }

  /** Most streams are short. */
  #grow(): void {
    const larger = new Uint8Array(Math.min(PIECE_BYTES, 4 * this.#buffer.length));
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}
