import type { Bytes } from '../bytes/bytes.ts';
import { indexAt, type TokenPlaces } from './token-places.ts';
import { TokenReader } from './token-reader.ts';

/** A place further ahead is sought from a known place before it. */
const NEAR_BYTES = 16 * 1024;

/** Finds the token that makes some byte of a content. */
export class TokenWalker {
  /** Content of the token. */
  start = 0;
  end = 0;
  /** 0: literals, or content that is in no deflate stream. */
  distance = 0;
  readonly #places: TokenPlaces;
  readonly #reader: TokenReader;
  /** End of the stream, or -1 between streams. */
  #streamEnd = -1;

  readonly #poll: () => void;

  /** @param poll called for each place that is sought; it may throw to end the work */
  constructor(tokens: Bytes, places: TokenPlaces, poll: () => void) {
    this.#poll = poll;
    this.#places = places;
    this.#reader = new TokenReader(tokens);
  }

  /** @param at place in the content */
  seek(at: number): void {
    if (at < this.start || at >= this.end + NEAR_BYTES || this.#streamEnd < 0) {
      if (at >= this.start && at < this.end) return;
      this.#jump(at);
    }
    while (at >= this.end) {
      if (this.end === this.#streamEnd) this.#jump(at);
      else this.#step();
    }
  }

  #step(): void {
    const reader = this.#reader;
    reader.next();
    this.start = this.end;
    this.end = this.start + reader.length;
    this.distance = reader.distance;
  }

  #jump(at: number): void {
    this.#poll();
    const { streams, content, tokens } = this.#places;
    const index = indexAt(streams.start, at);
    const end = streams.end[index] ?? -1;
    if (at >= end) {
      this.start = Math.max(0, end);
      this.end = streams.start[index + 1] ?? Number.POSITIVE_INFINITY;
      this.distance = 0;
      this.#streamEnd = -1;
      return;
    }
    const start = streams.start[index] as number;
    const place = indexAt(content, at);
    const isInside = place >= 0 && (content[place] as number) >= start;
    this.start = isInside ? (content[place] as number) : start;
    this.end = this.start;
    this.#reader.moveTo((isInside ? tokens[place] : streams.tokens[index]) as number);
    this.#streamEnd = end;
  }
}
