import type { Pieces } from '../bytes/bytes.ts';
import { DeflateInvalid } from '../deflate/parse.ts';
import { MAX_MATCH, MIN_MATCH } from '../deflate/symbols.ts';
import { NumberReader } from '../format/number-reader.ts';
import type { ContentWindow } from './content-window.ts';
import type { TokenPrediction } from './prediction.ts';
import { Miss, type TokenStream } from './token-streams.ts';

export type TokenPieces = Record<TokenStream, Pieces>;

/** Tokens of deflate streams in order, as they were encoded. Its fields are those of the token that was taken. */
export class TokenDecoder {
  /** Bytes of content. */
  length = 0;
  /** 0: literals. */
  distance = 0;
  isLong = false;
  readonly #window: ContentWindow;
  readonly #prediction: TokenPrediction;
  readonly #hits: NumberReader;
  readonly #pieces: TokenPieces;
  /** Tokens that are as predicted. -1: their number follows. */
  #left = -1;

  constructor(window: ContentWindow, prediction: TokenPrediction, pieces: TokenPieces) {
    this.#window = window;
    this.#prediction = prediction;
    this.#hits = new NumberReader(pieces.hits);
    this.#pieces = pieces;
  }

  /** Whether there are more predicted tokens than were taken. */
  get isLeft(): boolean {
    return this.#left > 0;
  }

  beginStream(length: number): void {
    this.#prediction.beginStream(length);
  }

  /**
   * Takes the token at the next byte of the window, which the caller skips then.
   * @param maxLiterals that are taken at once
   * @throws DeflateInvalid, DeltaInvalid
   */
  take(maxLiterals: number): void {
    if (this.#left < 0) {
      const hits = this.#hits.next();
      if (hits === undefined) throw new DeflateInvalid('content or parse end before the stream');
      this.#left = hits;
    }
    const prediction = this.#prediction;
    if (prediction.left <= 0) throw new DeflateInvalid('a token reaches behind its stream');
    prediction.predict();
    this.isLong = false;
    if (this.#left === 0) {
      this.#miss();
      this.#left = -1;
    } else if (prediction.distance > 0) {
      this.#set(prediction.length, prediction.distance);
      this.#left -= 1;
      prediction.learn(prediction.length);
    } else {
      const length = Math.min(prediction.length, this.#left, maxLiterals);
      this.#set(length, 0);
      this.#left -= length;
    }
  }

  #miss(): void {
    const prediction = this.#prediction;
    const kind = this.#byte('misses');
    if (kind === Miss.literal) this.#set(1, 0);
    else if (kind === Miss.otherLength) {
      if (prediction.distance === 0) throw new DeflateInvalid('a match has no distance');
      const length = this.#byte('lengths') + MIN_MATCH;
      prediction.learn(length);
      this.#set(length, prediction.distance);
    } else if (kind === Miss.otherDistance) {
      const distance = this.#distance();
      this.#set(this.#window.matchLength(distance, Math.min(MAX_MATCH, prediction.left)), distance);
    } else if (kind === Miss.other) this.#set(this.#byte('lengths') + MIN_MATCH, this.#distance());
    else if (kind === Miss.long) {
      this.isLong = true;
      this.#set(MAX_MATCH, this.#distance());
    } else throw new DeflateInvalid('a token has an unknown form');
  }

  #set(length: number, distance: number): void {
    if (length > this.#prediction.left) throw new DeflateInvalid('a token reaches behind its stream');
    if (distance > 0 && length < MIN_MATCH) throw new DeflateInvalid('a match is too short');
    this.length = length;
    this.distance = distance;
  }

  #distance(): number {
    const distance = 1 + this.#byte('near') + this.#byte('far') * 256;
    if (distance > this.#prediction.reach) throw new DeflateInvalid('a distance is too long');
    return distance;
  }

  #byte(name: TokenStream): number {
    const pieces = this.#pieces[name];
    if (pieces.at === pieces.piece.length && !pieces.refill()) {
      throw new DeflateInvalid('content or parse end before the stream');
    }
    const byte = pieces.piece[pieces.at] as number;
    pieces.at += 1;
    return byte;
  }
}
