import { type Bytes, readUpTo } from '../bytes/bytes.ts';
import { DeflateInvalid, LONG_258_AS_284 } from '../deflate/parse.ts';
import { MAX_MATCH } from '../deflate/symbols.ts';

const BUFFER_BYTES = 64 * 1024;
const MAX_TOKEN_BYTES = 5;

/** Reads tokens in order, from any place: `deflate/parse.ts`. Its fields are those of the token that was read. */
export class TokenReader {
  /** Bytes of content. */
  length = 0;
  /** 0: a run of literals. */
  distance = 0;
  isLong = false;
  readonly #tokens: Bytes;
  #buffer: Uint8Array = new Uint8Array();
  #start = 0;
  #at = 0;

  constructor(tokens: Bytes) {
    this.#tokens = tokens;
  }

  moveTo(place: number): void {
    if (place >= this.#start && place <= this.#start + this.#buffer.length) this.#at = place - this.#start;
    else this.#load(place);
  }

  /** @throws DeflateInvalid at the end */
  next(): void {
    if (this.#at + MAX_TOKEN_BYTES > this.#buffer.length) this.#load(this.#start + this.#at);
    const bytes = this.#buffer;
    let at = this.#at;
    if (at >= bytes.length) throw new DeflateInvalid('the tokens end before the content');
    const first = bytes[at] as number;
    this.isLong = false;
    if (first > 0) {
      this.length = first === 1 ? MAX_MATCH : first + 1;
      at += 1;
    } else {
      const run = bytes[at + 1] as number;
      at += 2;
      if (run > 0) {
        this.length = run;
        this.distance = 0;
        this.#at = at;
        return;
      }
      this.isLong = bytes[at] === LONG_258_AS_284;
      this.length = this.isLong ? MAX_MATCH : MAX_MATCH - 1;
      at += 1;
    }
    this.distance = 1 + (bytes[at] as number) + (bytes[at + 1] as number) * 256;
    this.#at = at + 2;
  }

  #load(place: number): void {
    this.#buffer = readUpTo(this.#tokens, place, BUFFER_BYTES);
    this.#start = place;
    this.#at = 0;
  }
}
