import { type Bytes, readExactly, type Scratch } from '../bytes/bytes.ts';
import { merged } from '../bytes/range.ts';
import { PieceWriter } from '../format/piece.ts';

const PIECE_BYTES = 256 * 1024;

/** Writes a short stream: what resembles a piece is at the same part of the base's. */
export function writeByPlace(after: Bytes, before: Bytes, section: Scratch): void {
  const writer = new PieceWriter(before, section);
  for (let at = 0; at < after.size; at += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, after.size - at);
    const start = Math.floor((at / after.size) * before.size);
    const around = { start: start - PIECE_BYTES, end: start + length + PIECE_BYTES };
    writer.write(readExactly(after, at, length), merged([around], before.size));
  }
}
