import type { Pieces } from '../bytes/bytes.ts';
import { writeVarint } from '../bytes/varint.ts';
import type { Match } from '../matching/matches.ts';
import { DeltaInvalid } from './invalid.ts';
import { NumberReader } from './number-reader.ts';

/** Copies of the base's content in order: bytes of new content before it, its length, its place in the base. */

const MAX_COPY_BYTES = 24;
/** Bound of the work that copies may cause. */
const MIN_LENGTH = 4 * 1024;

export type Copy = { skipped: number; length: number; from: number };

export function writeCopies(copies: readonly Match[]): Uint8Array {
  const bytes = new Uint8Array(copies.length * MAX_COPY_BYTES);
  let [at, end] = [0, 0];
  for (const copy of copies) {
    at = writeVarint(bytes, at, copy.at - end);
    at = writeVarint(bytes, at, copy.length);
    at = writeVarint(bytes, at, copy.from);
    end = copy.at + copy.length;
  }
  return bytes.subarray(0, at);
}

/** @throws DeltaInvalid */
export function* readCopies(stream: Pieces): Generator<Copy> {
  const numbers = new NumberReader(stream);
  for (let skipped = numbers.next(); skipped !== undefined; skipped = numbers.next()) {
    const copy = { skipped, length: numbers.required(), from: numbers.required() };
    if (copy.length < MIN_LENGTH) throw new DeltaInvalid('a copy is too short');
    yield copy;
  }
}
