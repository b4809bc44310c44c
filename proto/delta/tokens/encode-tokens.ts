import { type ByteSink, type Bytes, piecesAsTaken } from '../bytes/bytes.ts';
import { writeVarint } from '../bytes/varint.ts';
import { MAX_MATCH, MIN_MATCH } from '../deflate/symbols.ts';
import type { Region } from '../format/regions.ts';
import { ContentWindow } from './content-window.ts';
import { TokenPrediction } from './prediction.ts';
import type { TokenPlaces } from './token-places.ts';
import { TokenReader } from './token-reader.ts';
import { Miss, type TokenStream } from './token-streams.ts';

export type TokenSinks = Record<TokenStream, ByteSink>;

const MAX_NUMBER_BYTES = 8;

/** Content, and the parse of the deflate streams that it is in. */
export type ParsedContent = { content: Bytes; tokens: Bytes; places: TokenPlaces };

/** Writes the tokens, as far as those of the base do not predict them. */
export function encodeTokens(
  after: ParsedContent,
  before: Omit<ParsedContent, 'content'>,
  regions: Iterable<Region>,
  sinks: TokenSinks,
  poll: () => void,
): void {
  const window = new ContentWindow(piecesAsTaken(after.content));
  const encoder = new TokenEncoder(window, new TokenPrediction(window, before, regions, poll), sinks);
  const reader = new TokenReader(after.tokens);
  const { start, end } = after.places.streams;
  for (const [index, from] of start.entries()) {
    while (window.position < from) window.skip(Math.min(window.ahead(1), from - window.position));
    encoder.stream(reader, (end[index] as number) - from);
  }
  encoder.end();
}

class TokenEncoder {
  readonly #window: ContentWindow;
  readonly #prediction: TokenPrediction;
  readonly #sinks: TokenSinks;
  readonly #number = new Uint8Array(MAX_NUMBER_BYTES);
  readonly #byte = new Uint8Array(1);
  #hits = 0;

  constructor(window: ContentWindow, prediction: TokenPrediction, sinks: TokenSinks) {
    this.#window = window;
    this.#prediction = prediction;
    this.#sinks = sinks;
  }

  stream(reader: TokenReader, length: number): void {
    this.#prediction.beginStream(length);
    while (this.#prediction.left > 0) {
      reader.next();
      if (reader.distance === 0) this.#literals(reader.length);
      else this.#match(reader);
    }
  }

  end(): void {
    if (this.#hits > 0) this.#writeHits();
  }

  #literals(count: number): void {
    const [window, prediction] = [this.#window, this.#prediction];
    for (let left = count; left > 0; ) {
      prediction.predict();
      const isHit = prediction.distance === 0;
      const length = isHit ? Math.min(left, prediction.length) : 1;
      if (isHit) this.#hits += length;
      else this.#miss(Miss.literal);
      window.ahead(length);
      window.skip(length);
      left -= length;
    }
  }

  #match({ length, distance, isLong }: TokenReader): void {
    const [window, prediction] = [this.#window, this.#prediction];
    prediction.predict();
    if (isLong) {
      this.#miss(Miss.long);
      this.#writeDistance(distance);
    } else if (distance === prediction.distance) {
      if (length === prediction.length) this.#hits += 1;
      else {
        this.#miss(Miss.otherLength);
        this.#writeByte(this.#sinks.lengths, length - MIN_MATCH);
      }
      prediction.learn(length);
    } else {
      const isLongest = window.matchLength(distance, Math.min(MAX_MATCH, prediction.left)) === length;
      this.#miss(isLongest ? Miss.otherDistance : Miss.other);
      if (!isLongest) this.#writeByte(this.#sinks.lengths, length - MIN_MATCH);
      this.#writeDistance(distance);
    }
    window.ahead(length);
    window.skip(length);
  }

  #miss(kind: number): void {
    this.#writeHits();
    this.#writeByte(this.#sinks.misses, kind);
  }

  #writeHits(): void {
    this.#sinks.hits.append(this.#number.subarray(0, writeVarint(this.#number, 0, this.#hits)));
    this.#hits = 0;
  }

  #writeDistance(distance: number): void {
    this.#writeByte(this.#sinks.near, (distance - 1) & 255);
    this.#writeByte(this.#sinks.far, (distance - 1) >> 8);
  }

  #writeByte(sink: ByteSink, value: number): void {
    this.#byte[0] = value;
    sink.append(this.#byte);
  }
}
