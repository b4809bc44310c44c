import { type Bytes, NOTHING, readExactly, type Scratch } from '../bytes/bytes.ts';
import type { Expansion } from '../expansion/expansion.ts';
import { contentAt, tokensAt } from '../expansion/token-places.ts';
import { PieceWriter } from '../format/piece.ts';
import type { Match } from '../matching/matches.ts';
import { lengthOf, merged, type Range, type References } from '../matching/references.ts';

const PIECE_BYTES = 1024 * 1024;
/** Smaller pieces of content are compressed with what is nearer. */
const CONTENT_BYTES = 512 * 1024;
/** With fewer bytes, a piece gets no more references than allowed. Else another one begins. */
const MIN_CONTENT_BYTES = CONTENT_BYTES / 2;
/** Fewer references than the format allows for a piece: memory is needed for them. 32 times those bytes. */
const USED_BYTES = 8 * 1024 * 1024;
/** Bytes of content around what is expected to have the same tokens. They are few, and have little in common nearby. */
const TOKEN_MARGIN_BYTES = 4 * 1024 * 1024;
const SMALL_PIECE_BYTES = 256 * 1024;

/** A list without a base. */
export function writeList(bytes: Uint8Array, sink: Scratch): void {
  const writer = new PieceWriter(NOTHING, sink);
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    writer.write(bytes.subarray(at, at + PIECE_BYTES), []);
}

/** Short streams: what resembles a piece is at the same part of the base's. */
export function writeByPlace(after: Bytes, before: Bytes, sink: Scratch): void {
  const writer = new PieceWriter(before, sink);
  for (let at = 0; at < after.size; at += SMALL_PIECE_BYTES) {
    const length = Math.min(SMALL_PIECE_BYTES, after.size - at);
    const start = Math.floor((at / after.size) * before.size);
    const around = { start: start - SMALL_PIECE_BYTES, end: start + length + SMALL_PIECE_BYTES };
    writer.write(readExactly(after, at, length), merged([around], before.size));
  }
}

export function writeTokens(after: Expansion, base: Expansion, references: References, sink: Scratch): void {
  const writer = new PieceWriter(base.tokens, sink);
  for (let at = 0; at < after.tokens.size; at += PIECE_BYTES) {
    const end = Math.min(at + PIECE_BYTES, after.tokens.size);
    const content = { start: contentAt(after, at, 'below'), end: contentAt(after, end, 'above') };
    const ranges = references.of(content, TOKEN_MARGIN_BYTES).map(({ start, end: stop }) => ({
      start: tokensAt(base, start, 'below'),
      end: tokensAt(base, stop, 'above'),
    }));
    const used = bounded(merged(ranges, base.tokens.size));
    writer.write(readExactly(after.tokens, at, end - at), used);
  }
}

/** @returns bytes that are no copies */
export function writeContent(
  after: Bytes,
  before: Bytes,
  { copies, references }: { copies: readonly Match[]; references: References },
  sink: Scratch,
): number {
  const piece = new ContentPiece(after, before, sink);
  let [at, total] = [0, 0];
  for (const copy of [...copies, { at: after.size, length: 0 }]) {
    for (let start = at; start < copy.at; ) {
      const end = Math.min(copy.at, start + piece.free);
      piece.add({ start, end }, references.of({ start, end }));
      total += end - start;
      start = end;
    }
    at = copy.at + copy.length;
  }
  piece.write();
  return total;
}

/** Collects ranges of new content, and what they are compressed with, for one piece after the other. */
class ContentPiece {
  readonly #after: Bytes;
  readonly #before: Bytes;
  readonly #writer: PieceWriter;
  readonly #buffer = new Uint8Array(CONTENT_BYTES);
  #filled = 0;
  #used: Range[] = [];
  #isFull = false;

  constructor(after: Bytes, before: Bytes, sink: Scratch) {
    this.#after = after;
    this.#before = before;
    this.#writer = new PieceWriter(before, sink);
  }

  get free(): number {
    return CONTENT_BYTES - this.#filled;
  }

  /** @param range not longer than what is free */
  add({ start, end }: Range, near: readonly Range[]): void {
    const used = this.#isFull ? this.#used : merged([...this.#used, ...near], this.#before.size);
    if (lengthOf(used) <= USED_BYTES) this.#used = used;
    else if (this.#filled >= MIN_CONTENT_BYTES) {
      this.write();
      this.#used = bounded(merged(near, this.#before.size));
    } else {
      // What is small does not need all of them.
      this.#used = bounded(used);
      this.#isFull = true;
    }
    this.#after.read(this.#buffer.subarray(this.#filled, this.#filled + end - start), start);
    this.#filled += end - start;
    if (this.free === 0) this.write();
  }

  write(): void {
    if (this.#filled > 0) this.#writer.write(this.#buffer.subarray(0, this.#filled), this.#used);
    this.#filled = 0;
    this.#used = [];
    this.#isFull = false;
  }
}

/** The first ranges, as far as memory allows. */
function bounded(ranges: readonly Range[]): Range[] {
  let left = USED_BYTES;
  return ranges.flatMap(({ start, end }) => {
    const length = Math.min(left, end - start);
    left -= length;
    return length > 0 ? [{ start, end: start + length }] : [];
  });
}
