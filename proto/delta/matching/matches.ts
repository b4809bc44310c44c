import { type Bytes, readUpTo } from '../bytes/bytes.ts';
import { ChunkIndex } from './chunk-index.ts';
import { chunksOf } from './gear.ts';

/** Equal bytes: `length` of them at `at` of the new content and at `from` of the old one. */
export type Match = { at: number; from: number; length: number };

/** Average length of chunks: the index has about 2^18 of them, within 4 and 64 KiB. */
const INDEXED_CHUNKS = 1 << 18;
const MIN_AVERAGE = 4 * 1024;
const MAX_AVERAGE = 64 * 1024;
const COMPARED_BYTES = 4 * 1024;

/** All chunks of the new content that the old one has, extended to all equal bytes around. Sorted, without overlaps. */
export function findMatches(before: Bytes, after: Bytes): Match[] {
  const averageBytes = averageOf(Math.max(before.size, after.size));
  const index = new ChunkIndex(Math.ceil((before.size / averageBytes) * 2) + 1);
  for (const { at, bytes } of chunksOf(before, averageBytes)) index.add(bytes, at);
  const matches: Match[] = [];
  const isAt = comparisonWith(before);
  let last: Match | undefined;
  for (const { at, bytes } of chunksOf(after, averageBytes)) {
    const expected = last && last.at + last.length === at ? last.from + last.length : undefined;
    if (last && expected !== undefined && isAt(expected, bytes)) {
      last.length += bytes.length;
      continue;
    }
    const from = index.find(bytes);
    if (from === undefined || !isAt(from, bytes)) continue;
    last = { at, from, length: bytes.length };
    matches.push(last);
  }
  extend(matches, before, after);
  return matches;
}

function averageOf(size: number): number {
  const average = 2 ** Math.ceil(Math.log2(size / INDEXED_CHUNKS + 1));
  return Math.min(MAX_AVERAGE, Math.max(MIN_AVERAGE, average));
}

/** Whether some content has these bytes at a place. Its buffer is used again, as it is needed for each chunk. */
function comparisonWith(content: Bytes): (at: number, bytes: Uint8Array) => boolean {
  const buffer = Buffer.allocUnsafe(MAX_AVERAGE << 3);
  return (at, bytes) => {
    if (at + bytes.length > content.size) return false;
    const read = buffer.subarray(0, bytes.length);
    content.read(read, at);
    return read.equals(bytes);
  };
}

function extend(matches: Match[], before: Bytes, after: Bytes): void {
  let end = 0;
  for (const [index, match] of matches.entries()) {
    const back = equalBefore(before, match.from, after, match.at, Math.min(match.from, match.at - end));
    match.at -= back;
    match.from -= back;
    match.length += back;
    const next = matches[index + 1]?.at ?? after.size;
    const max = Math.min(next - match.at - match.length, before.size - match.from - match.length);
    match.length += equalFrom(before, match.from + match.length, after, match.at + match.length, max);
    end = match.at + match.length;
  }
}

/** @returns the number of equal bytes from these places on, at most `max` */
function equalFrom(before: Bytes, from: number, after: Bytes, at: number, max: number): number {
  for (let equal = 0; equal < max; ) {
    const length = Math.min(COMPARED_BYTES, max - equal);
    const one = readUpTo(before, from + equal, length);
    const other = readUpTo(after, at + equal, length);
    for (let index = 0; index < length; index += 1) if (one[index] !== other[index]) return equal + index;
    equal += length;
  }
  return Math.max(0, max);
}

/** The same before these places. */
function equalBefore(before: Bytes, from: number, after: Bytes, at: number, max: number): number {
  for (let equal = 0; equal < max; ) {
    const length = Math.min(COMPARED_BYTES, max - equal);
    const one = readUpTo(before, from - equal - length, length);
    const other = readUpTo(after, at - equal - length, length);
    for (let index = length - 1; index >= 0; index -= 1) {
      if (one[index] !== other[index]) return equal + length - 1 - index;
    }
    equal += length;
  }
  return Math.max(0, max);
}
