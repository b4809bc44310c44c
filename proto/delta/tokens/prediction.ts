import type { Bytes } from '../bytes/bytes.ts';
import { MAX_MATCH, MIN_MATCH, WINDOW_BYTES } from '../deflate/symbols.ts';
import type { Region } from '../format/regions.ts';
import type { ContentWindow } from './content-window.ts';
import { RegionCursor } from './region-cursor.ts';
import type { TokenPlaces } from './token-places.ts';
import { TokenWalker } from './token-walker.ts';

/**
 * Predicts each token of a parse by the token that the base has at the aligned place. A match is expected at the same
 * distance, or where the alignment has moved what it refers to, and as long as the new content allows. Sender and
 * receiver predict the same, as both know the content and all tokens before. No encoder's search is repeated.
 */
export class TokenPrediction {
  /** 0: literals are predicted, `length` of them. Else a match of `length` bytes. */
  distance = 0;
  length = 0;
  readonly #window: ContentWindow;
  readonly #walker: TokenWalker;
  readonly #regions: RegionCursor;
  #start = 0;
  #end = 0;
  /** Length of the token in the base if it begins at the same place and is the shorter one, else 0. */
  #baseLength = 0;
  #longest = 0;
  /** Above 0: matches were as long as possible, where those of the base had not been. */
  #trust = 1;

  constructor(
    window: ContentWindow,
    base: { tokens: Bytes; places: TokenPlaces },
    regions: Iterable<Region>,
    poll: () => void,
  ) {
    this.#window = window;
    this.#walker = new TokenWalker(base.tokens, base.places, poll);
    this.#regions = new RegionCursor(regions);
  }

  /** A deflate stream of `length` bytes begins at the next byte of the window. */
  beginStream(length: number): void {
    this.#start = this.#window.position;
    this.#end = this.#start + length;
  }

  /** Bytes that the stream has left. */
  get left(): number {
    return this.#end - this.#window.position;
  }

  /** Max distance of a match. */
  get reach(): number {
    return Math.min(WINDOW_BYTES, this.#window.position - this.#start);
  }

  /** Predicts the token at the next byte of the window. */
  predict(): void {
    const at = this.#window.position;
    const region = this.#regions.at(at);
    const left = this.#end - at;
    this.#baseLength = 0;
    this.distance = 0;
    if (!region || at < region.at) {
      this.length = region ? Math.min(left, region.at - at) : left;
      return;
    }
    const from = at - region.at + region.from;
    const walker = this.#walker;
    walker.seek(from);
    if (walker.distance === 0) {
      this.length = Math.min(left, walker.end - from, region.at + region.length - at);
      return;
    }
    const distance = this.#moved(walker.distance, from, region);
    if (distance > this.reach) {
      this.length = 1;
      return;
    }
    const length = this.#window.matchLength(distance, Math.min(MAX_MATCH, left));
    if (length < MIN_MATCH) {
      this.length = 1;
      return;
    }
    this.distance = distance;
    this.length = length;
    const baseLength = walker.end - from;
    if (walker.start !== from || baseLength >= length) return;
    this.#baseLength = baseLength;
    this.#longest = length;
    if (this.#trust <= 0) this.length = baseLength;
  }

  /** The length of a match at the predicted distance, whether predicted or not. */
  learn(length: number): void {
    if (this.#baseLength === 0) return;
    if (length === this.#baseLength) this.#trust = Math.max(-4, this.#trust - 1);
    else if (length === this.#longest) this.#trust = Math.min(4, this.#trust + 1);
  }

  #moved(distance: number, from: number, region: Region): number {
    if (from - distance >= region.from) return distance;
    const source = this.#regions.placeOf(from - distance);
    if (source === undefined) return distance;
    const moved = this.#window.position - source;
    return moved <= WINDOW_BYTES ? moved : distance;
  }
}
