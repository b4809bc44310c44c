import { type Bytes, readExactly } from '../bytes/bytes.ts';
import { lengthOf, merged, type Range } from '../bytes/range.ts';
import type { Region } from '../format/regions.ts';
import type { Comparison } from './comparison.ts';
import type { Match } from './matches.ts';
import type { References } from './references.ts';
import { WindowAligner } from './window-aligner.ts';

/** New content that is aligned at once, and what it is aligned with, in bytes. */
const BATCH_BYTES = 512 * 1024;
const WINDOW_BYTES = 4 * 1024 * 1024;
/** Gaps and matches that are aligned at once: bound of the work for each of them. */
const MAX_PARTS = 4_096;
/** Bound of the length of an alignment. What is behind is aligned only where it is equal. */
const MAX_REGIONS = 2 ** 22;

/** What two contents have in common: their matches, and between these, regions that resemble each other. */
export function* align(
  before: Bytes,
  after: Bytes,
  { matches, references }: Comparison,
  poll: () => void,
): Generator<Region> {
  const batch = new Batch(before, after, references, poll);
  let [end, left] = [0, MAX_REGIONS];
  for (const match of [...matches, { at: after.size, from: before.size, length: 0 }]) {
    for (let at = end; at < match.at && left > 0; ) {
      const gap = { start: at, end: Math.min(match.at, at + BATCH_BYTES) };
      at = gap.end;
      if (batch.add(gap)) continue;
      for (const region of batch.aligned()) {
        left -= 1;
        yield region;
      }
      batch.add(gap);
    }
    batch.pass(match);
    end = match.at + match.length;
  }
  yield* batch.aligned();
}

/** Gaps between matches that are aligned with the same window, and the matches between them. */
class Batch {
  readonly #before: Bytes;
  readonly #after: Bytes;
  readonly #references: References;
  readonly #aligner: WindowAligner;
  readonly #poll: () => void;
  readonly #buffer = new Uint8Array(WINDOW_BYTES);
  #parts: (Range | Match)[] = [];
  #near: Range[] = [];
  #length = 0;
  /** Place in the old content less place in the new one, of the last region. */
  #drift = 0;

  constructor(before: Bytes, after: Bytes, references: References, poll: () => void) {
    this.#aligner = new WindowAligner(poll);
    this.#poll = poll;
    this.#before = before;
    this.#after = after;
    this.#references = references;
  }

  /** @returns false if it has no space for the gap */
  add(gap: Range): boolean {
    this.#poll();
    const near = merged([...this.#near, ...this.#references.of(gap)], this.#before.size);
    const length = this.#length + gap.end - gap.start;
    const isFull = length > BATCH_BYTES || this.#parts.length >= MAX_PARTS || lengthOf(near) > WINDOW_BYTES;
    if (isFull && this.#length > 0) return false;
    this.#near = near;
    this.#length = length;
    this.#parts.push(gap);
    return true;
  }

  pass(match: Match): void {
    if (match.length > 0) this.#parts.push(match);
  }

  /** Aligns all parts, and begins the next batch. */
  *aligned(): Generator<Region> {
    const parts = this.#parts;
    const ranges = this.#window();
    this.#parts = [];
    this.#near = [];
    this.#length = 0;
    for (const part of parts) {
      for (const region of 'from' in part ? [part] : this.#gap(part, ranges)) {
        this.#drift = region.from - region.at;
        yield region;
      }
    }
  }

  /** Reads the window. @returns the ranges that it holds, one behind the other */
  #window(): Range[] {
    const ranges: Range[] = [];
    let filled = 0;
    for (const { start, end } of this.#near) {
      const length = Math.min(end - start, WINDOW_BYTES - filled);
      if (length === 0) break;
      this.#before.read(this.#buffer.subarray(filled, filled + length), start);
      ranges.push({ start, end: start + length });
      filled += length;
    }
    this.#aligner.setWindow(this.#buffer.subarray(0, filled));
    return ranges;
  }

  *#gap({ start, end }: Range, ranges: readonly Range[]): Generator<Region> {
    const content = readExactly(this.#after, start, end - start);
    const expected = placeIn(ranges, start + this.#drift);
    for (const { at, from, end: stop } of this.#aligner.align(content, expected)) {
      yield* split({ at: start + at, from, length: stop - at }, ranges);
    }
  }
}

/** Place in the window of a place of the content, or where it would be. */
function placeIn(ranges: readonly Range[], place: number): number {
  let before = 0;
  for (const { start, end } of ranges) {
    if (place < end) return before + place - start;
    before += end - start;
  }
  return before;
}

/** Regions of the content for one of the window, which may reach over several ranges. */
function* split({ at, from, length }: Region, ranges: readonly Range[]): Generator<Region> {
  let [before, done] = [0, 0];
  for (const { start, end } of ranges) {
    const place = from + done - before;
    if (place < end - start && done < length) {
      const count = Math.min(length - done, end - start - place);
      yield { at: at + done, from: start + place, length: count };
      done += count;
    }
    before += end - start;
  }
}
