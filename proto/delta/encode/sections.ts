import { type Bytes, NOTHING, readExactly, type Scratch } from '../bytes/bytes.ts';
import type { Expansion } from '../expansion/expansion.ts';
import { contentAt, tokensAt } from '../expansion/token-places.ts';
import { MAX_REFERENCE_BYTES, writePiece } from '../format/piece.ts';
import type { Match } from '../matching/matches.ts';
import { lengthOf, merged, type Range, type References } from '../matching/references.ts';

const PIECE_BYTES = 1024 * 1024;
/** Bytes of content around what is expected to have the same tokens. They are few, and have little in common nearby. */
const TOKEN_MARGIN_BYTES = 4 * 1024 * 1024;
const SMALL_PIECE_BYTES = 256 * 1024;

/** A list without a base. */
export function writeList(bytes: Uint8Array, sink: Scratch): void {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    writePiece(bytes.subarray(at, at + PIECE_BYTES), NOTHING, [], sink);
  }
}

/** Short streams: what resembles a piece is at the same part of the base's. */
export function writeByPlace(after: Bytes, before: Bytes, sink: Scratch): void {
  for (let at = 0; at < after.size; at += SMALL_PIECE_BYTES) {
    const length = Math.min(SMALL_PIECE_BYTES, after.size - at);
    const start = Math.floor((at / after.size) * before.size);
    const around = { start: start - SMALL_PIECE_BYTES, end: start + length + SMALL_PIECE_BYTES };
    writePiece(readExactly(after, at, length), before, merged([around], before.size), sink);
  }
}

export function writeTokens(after: Expansion, base: Expansion, references: References, sink: Scratch): void {
  for (let at = 0; at < after.tokens.size; at += PIECE_BYTES) {
    const end = Math.min(at + PIECE_BYTES, after.tokens.size);
    const content = { start: contentAt(after, at, 'below'), end: contentAt(after, end, 'above') };
    const ranges = references.of(content, TOKEN_MARGIN_BYTES).map(({ start, end: stop }) => ({
      start: tokensAt(base, start, 'below'),
      end: tokensAt(base, stop, 'above'),
    }));
    const used = bounded(merged(ranges, base.tokens.size));
    writePiece(readExactly(after.tokens, at, end - at), base.tokens, used, sink);
  }
}

/** @returns bytes that are no copies */
export function writeContent(
  after: Bytes,
  before: Bytes,
  { copies, references }: { copies: readonly Match[]; references: References },
  sink: Scratch,
): number {
  let literals: Range[] = [];
  let total = 0;
  const write = () => {
    if (literals.length === 0) return;
    const used = bounded(
      merged(
        literals.flatMap((range) => references.of(range)),
        before.size,
      ),
    );
    writePiece(
      Buffer.concat(literals.map(({ start, end }) => readExactly(after, start, end - start))),
      before,
      used,
      sink,
    );
    literals = [];
  };
  let at = 0;
  for (const copy of [...copies, { at: after.size, length: 0 }]) {
    for (let start = at; start < copy.at; ) {
      const end = Math.min(copy.at, start + PIECE_BYTES - lengthOf(literals));
      literals.push({ start, end });
      total += end - start;
      start = end;
      if (lengthOf(literals) === PIECE_BYTES) write();
    }
    at = copy.at + copy.length;
  }
  write();
  return total;
}

/** The first ranges, as far as the format allows. */
function bounded(ranges: readonly Range[]): Range[] {
  let left = MAX_REFERENCE_BYTES;
  return ranges.flatMap(({ start, end }) => {
    const length = Math.min(left, end - start);
    left -= length;
    return length > 0 ? [{ start, end: start + length }] : [];
  });
}
