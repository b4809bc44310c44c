import type { Bytes } from '../bytes/bytes.ts';
import { DeltaInvalid } from '../format/invalid.ts';
import type { SectionReader } from '../format/section.ts';

/** Reads a section from the begin to the end, with a window of what was read last. */
export class BufferedSection implements Bytes {
  readonly size: number;
  readonly #reader: SectionReader;
  #window: Uint8Array = new Uint8Array();
  #start = 0;

  constructor(reader: SectionReader, size: number) {
    this.#reader = reader;
    this.size = size;
  }

  read(target: Uint8Array, at: number): number {
    if (at < this.#start) throw new DeltaInvalid('blocks are read out of order');
    while (this.#start + this.#window.length < Math.min(this.size, at + target.length)) {
      if (!this.#reader.refill()) break;
      const kept = this.#window.subarray(Math.min(this.#window.length, at - this.#start));
      this.#start += this.#window.length - kept.length;
      this.#window = Buffer.concat([kept, this.#reader.piece]);
      this.#reader.at = this.#reader.piece.length;
    }
    const piece = this.#window.subarray(at - this.#start, at - this.#start + target.length);
    target.set(piece);
    return piece.length;
  }
}
