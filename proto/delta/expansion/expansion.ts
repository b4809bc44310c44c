import { type Bytes, NOTHING, piecesOf, type Scratch } from '../bytes/bytes.ts';
import { Inflater } from '../deflate/inflate.ts';
import { DeflateInvalid, DeflateTooLong } from '../deflate/parse.ts';
import { noPlaces, type TokenPlaces } from '../tokens/token-places.ts';
import { SegmentWriter } from './segments.ts';

/**
 * Bytes, with deflate streams among them replaced by what they contain. From content, segments, tokens and blocks, the
 * bytes are made again bit for bit (`contraction.ts`).
 */
export type Expansion = {
  content: Bytes;
  /** Records of `segments.ts`. */
  segments: Bytes;
  /** Of all deflate streams, one behind the other: `deflate/parse.ts`. */
  tokens: Bytes;
  blocks: Bytes;
  places: TokenPlaces;
};

export type ExpansionOptions = {
  scratch: () => Scratch;
  /** Max bytes of the content of one expansion. */
  maxLength: number;
  /** Called at times during long work. It may throw to end the work. */
  poll: () => void;
};

/** Bound of the memory that lists of streams need. */
const MAX_STREAMS = 2 ** 20;

/** Expands bytes from the first to the last. */
export class Expander {
  readonly #source: Bytes;
  readonly #maxLength: number;
  readonly #content: Scratch;
  readonly #segments: Scratch;
  readonly #tokens: Scratch;
  readonly #blocks: Scratch;
  readonly #places: TokenPlaces = noPlaces();
  readonly #list: SegmentWriter;
  readonly #inflater: Inflater;
  #at = 0;
  /** Begin of the stream in the content. */
  #start = 0;

  constructor(source: Bytes, { scratch, maxLength }: ExpansionOptions) {
    this.#source = source;
    this.#maxLength = maxLength;
    const [content, segments, tokens, blocks] = [scratch(), scratch(), scratch(), scratch()];
    this.#content = content;
    this.#segments = segments;
    this.#tokens = tokens;
    this.#blocks = blocks;
    this.#list = new SegmentWriter((bytes) => segments.append(bytes));
    const onPlace = (inContent: number, inTokens: number) => {
      this.#places.content.push(this.#start + inContent);
      this.#places.tokens.push(inTokens);
    };
    this.#inflater = new Inflater(source, { content, tokens, blocks, onPlace });
  }

  /**
   * Expands the deflate stream at `at`, which is not before the end of the last one.
   * @returns its end
   * @throws DeflateInvalid if it is damaged or begins before that; DeflateTooLong if the content is too long
   */
  deflate(at: number): number {
    if (at < this.#at || at > this.#source.size) {
      throw new DeflateInvalid('a stream begins in another one, or behind the end');
    }
    this.#raw(at);
    const [start, tokens] = [this.#content.size, this.#inflater.tokensAt];
    this.#start = start;
    const { end, length } = this.#inflater.inflate(at, this.#maxLength - start);
    const { streams } = this.#places;
    if (streams.start.length === MAX_STREAMS) throw new DeflateTooLong('there are too many streams');
    if (length > 0) {
      streams.start.push(start);
      streams.end.push(start + length);
      streams.tokens.push(tokens);
    }
    this.#list.add({ isDeflate: true, length });
    this.#at = end;
    return end;
  }

  /** All that is left is content as it is. @throws DeflateInvalid as above */
  end(): Expansion {
    this.#raw(this.#source.size);
    this.#inflater.end();
    return {
      content: this.#content,
      segments: this.#segments,
      tokens: this.#tokens,
      blocks: this.#blocks,
      places: this.#places,
    };
  }

  #raw(end: number): void {
    const length = end - this.#at;
    if (length === 0) return;
    if (length > this.#maxLength - this.#content.size) {
      throw new DeflateTooLong(`the content has more than ${this.#maxLength} bytes`);
    }
    for (const piece of piecesOf(this.#source, this.#at, end)) this.#content.append(piece);
    this.#list.add({ isDeflate: false, length });
    this.#at = end;
  }
}

/** What no deflate stream is replaced in: without segments, the bytes are the content. */
export function unexpanded(content: Bytes): Expansion {
  return {
    content,
    segments: NOTHING,
    tokens: NOTHING,
    blocks: NOTHING,
    places: noPlaces(),
  };
}
