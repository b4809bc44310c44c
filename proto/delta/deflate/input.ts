import type { Bytes } from '../bytes/bytes.ts';
import { DeflateInvalid } from './parse.ts';

const BUFFER_BYTES = 256 * 1024;

/** Bits of a deflate stream, the lowest of each byte first. Its fields are public for the loop that decodes symbols. */
export class BitInput {
  readonly buffer = new Uint8Array(BUFFER_BYTES);
  /** Next byte of the buffer. */
  next = 0;
  /** Bytes of the buffer that are filled. */
  filled = 0;
  /** Bits taken from the buffer and not used, and their number, 0 to 32. */
  hold = 0;
  bits = 0;
  readonly #source: Bytes;
  /** Place of the first byte behind the buffer. */
  #at = 0;

  constructor(source: Bytes) {
    this.#source = source;
  }

  /** Continues at a byte of the source. */
  moveTo(at: number): void {
    const next = at - (this.#at - this.filled);
    this.hold = 0;
    this.bits = 0;
    if (next >= 0 && next <= this.filled) this.next = next;
    else {
      this.next = 0;
      this.filled = 0;
      this.#at = at;
    }
  }

  /** Place in the source of the next byte that no bit was used of. */
  get at(): number {
    return this.#at - this.filled + this.next - (this.bits >> 3);
  }

  /** Makes `count` bytes available, if the source has them. @returns whether it has */
  ensure(count: number): boolean {
    if (this.filled - this.next >= count) return true;
    this.buffer.copyWithin(0, this.next, this.filled);
    this.filled -= this.next;
    this.next = 0;
    const read = this.#source.read(this.buffer.subarray(this.filled), this.#at);
    this.filled += read;
    this.#at += read;
    return this.filled >= count;
  }

  /** @param count 0 to 16 @throws DeflateInvalid at the end of the source */
  take(count: number): number {
    while (this.bits < count) {
      if (!this.ensure(1)) throw new DeflateInvalid('the stream ends within a block');
      this.hold |= (this.buffer[this.next] as number) << this.bits;
      this.next += 1;
      this.bits += 8;
    }
    const value = this.hold & ((1 << count) - 1);
    this.hold >>>= count;
    this.bits -= count;
    return value;
  }

  /** Takes bytes at the begin of one. @returns 1 to `max` of them; they are valid until the next call */
  takeBytes(max: number): Uint8Array {
    this.set(this.next, this.hold, this.bits);
    if (!this.ensure(1)) throw new DeflateInvalid('the stream ends within a block');
    const piece = this.buffer.subarray(this.next, Math.min(this.filled, this.next + max));
    this.next += piece.length;
    return piece;
  }

  /**
   * Continues where a loop with copies of the fields stopped. Complete bytes that it took ahead are given back.
   * @throws DeflateInvalid if it used bits behind the end of the source
   */
  set(next: number, hold: number, bits: number): void {
    this.next = next - (bits >> 3);
    this.bits = bits & 7;
    this.hold = hold & ((1 << this.bits) - 1);
    if (this.next > this.filled) throw new DeflateInvalid('the stream ends within a block');
  }

  /** The bits up to the next byte. */
  padding(): number {
    return this.take(this.bits & 7);
  }
}
