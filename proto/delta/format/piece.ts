import { type ByteSink, type Bytes, readExactly, readUpTo } from '../bytes/bytes.ts';
import { lengthOf, type Range } from '../bytes/range.ts';
import { readVarint, writeVarint } from '../bytes/varint.ts';
import { compressAlone, decompressAlone } from './brotli.ts';
import { Dictionary } from './dictionary.ts';
import { DeltaInvalid } from './invalid.ts';
import { compress, decompress } from './zstd.ts';

/*
 * A section is a sequence of pieces, which are the content of one stream in order. Numbers are LEB128.
 *
 *   length       bytes of the stream
 *   references   their number; of each: begin and length in the same stream of the base
 *   frame        four times its length, plus its kind, see `Frame`; then the frame
 */

/** Kinds of frames. The dictionary of zstd are the references, one behind the other; others have no references. */
export const Frame = { zstd: 0, raw: 1, brotli: 2 } as const;
const FRAME_KINDS = 4;

const MAX_PIECE_BYTES = 4 * 1024 * 1024;
const MAX_REFERENCE_BYTES = 16 * 1024 * 1024;
const MAX_REFERENCES = 4_096;
/** Max bytes of what comes before the frame, and those of most. */
const MAX_HEAD_BYTES = 24 + MAX_REFERENCES * 16;
const USUAL_HEAD_BYTES = 512;
const MAX_NUMBER_BYTES = 8;

/** If the dictionary saves less than this share, it is tried without. */
const POOR_SHARE = 0.5;

/** Writes the pieces of one section. */
export class PieceWriter {
  readonly #base: Bytes;
  readonly #sink: ByteSink;
  readonly #dictionary = new Dictionary();
  readonly #head = new Uint8Array(MAX_HEAD_BYTES);

  constructor(base: Bytes, sink: ByteSink) {
    this.#base = base;
    this.#sink = sink;
  }

  /** @param references ranges of the base in any order; none are used if the piece is not shorter with them */
  write(bytes: Uint8Array, references: readonly Range[]): void {
    let used = references;
    let kind: number = Frame.zstd;
    let frame: Uint8Array = compress(bytes, this.#dictionary.of(this.#base, references));
    const take = (other: Uint8Array, as: number) => {
      if (other.length >= frame.length) return;
      [used, frame, kind] = [[], other, as];
    };
    if (references.length === 0 || frame.length > bytes.length * POOR_SHARE) {
      take(compressAlone(bytes), Frame.brotli);
    }
    take(bytes, Frame.raw);
    const head = this.#head;
    let at = writeVarint(head, writeVarint(head, 0, bytes.length), used.length);
    for (const { start, end } of used) at = writeVarint(head, writeVarint(head, at, start), end - start);
    at = writeVarint(head, at, frame.length * FRAME_KINDS + kind);
    this.#sink.append(head.subarray(0, at));
    this.#sink.append(frame);
  }
}

export type PieceHead = {
  length: number;
  references: Range[];
  frameAt: number;
  frameLength: number;
  kind: number;
};

/** @throws DeltaInvalid if its numbers are damaged or beyond their bounds */
export function readHead(section: Bytes, at: number): PieceHead {
  let bytes = readUpTo(section, at, USUAL_HEAD_BYTES);
  let next = 0;
  const number = () => {
    if (next + MAX_NUMBER_BYTES > bytes.length && bytes.length === USUAL_HEAD_BYTES) {
      bytes = readUpTo(section, at, MAX_HEAD_BYTES);
    }
    const read = readVarint(bytes, next);
    if (!read) throw new DeltaInvalid('a number of a piece is damaged');
    next = read.end;
    return read.value;
  };
  const length = number();
  const count = number();
  if (length === 0 || length > MAX_PIECE_BYTES) throw new DeltaInvalid('a piece has an invalid length');
  if (count > MAX_REFERENCES) throw new DeltaInvalid('a piece has too many references');
  const references = Array.from({ length: count }, (): Range => {
    const start = number();
    return { start, end: start + number() };
  });
  const frame = number();
  const kind = frame % FRAME_KINDS;
  const frameLength = Math.floor(frame / FRAME_KINDS);
  if (lengthOf(references) > MAX_REFERENCE_BYTES)
    throw new DeltaInvalid('the references of a piece are too long');
  if (kind > Frame.brotli) throw new DeltaInvalid('a frame has an unknown kind');
  if (kind === Frame.raw ? frameLength !== length : frameLength > MAX_PIECE_BYTES) {
    throw new DeltaInvalid('a frame has an invalid length');
  }
  return { length, references, frameAt: at + next, frameLength, kind };
}

/** Reads the pieces of one section. */
export class PieceReader {
  readonly #section: Bytes;
  readonly #base: Bytes;
  readonly #dictionary: Dictionary;

  constructor(section: Bytes, base: Bytes, dictionary: Dictionary) {
    this.#section = section;
    this.#base = base;
    this.#dictionary = dictionary;
  }

  /** The content of a piece. @throws DeltaInvalid */
  read({ length, references, frameAt, frameLength, kind }: PieceHead): Uint8Array {
    if (frameAt + frameLength > this.#section.size) throw new DeltaInvalid('a section ends within a piece');
    if (references.some(({ end }) => end > this.#base.size)) {
      throw new DeltaInvalid('a reference reaches behind the base');
    }
    const frame = readExactly(this.#section, frameAt, frameLength);
    if (kind === Frame.raw) return frame;
    // Reading the base may fail for reasons that are no fault of the delta.
    const dictionary = kind === Frame.zstd ? this.#dictionary.of(this.#base, references) : undefined;
    const content = contentOf(() =>
      dictionary ? decompress(frame, dictionary, length) : decompressAlone(frame, length),
    );
    if (content.length !== length) throw new DeltaInvalid('a piece has another length');
    return content;
  }
}

function contentOf(decompressed: () => Uint8Array): Uint8Array {
  try {
    return decompressed();
  } catch (error) {
    throw new DeltaInvalid('a frame is damaged', { cause: error });
  }
}
