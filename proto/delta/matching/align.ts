import { type Bytes, readExactly } from '../bytes/bytes.ts';
import { lengthOf, merged, type Range } from '../bytes/range.ts';
import type { Region } from '../format/regions.ts';
import type { Match } from './matches.ts';
import type { References } from './references.ts';
import { WindowAligner } from './window-aligner.ts';

/** New content that is aligned at once, and what it is aligned with, in bytes. */
const BLOCK_BYTES = 512 * 1024;
const WINDOW_BYTES = 4 * 1024 * 1024;
/** Max regions besides the matches: bound of the memory that the alignment of hostile content needs. */
const MAX_REGIONS = 2 ** 22;

/** What two contents have in common: their matches, and between these, regions that resemble each other. */
export function* align(
  before: Bytes,
  after: Bytes,
  { matches, references }: { matches: readonly Match[]; references: References },
): Generator<Region> {
  const block = new Block(before, after, references);
  let [end, left] = [0, MAX_REGIONS];
  for (const match of [...matches, { at: after.size, from: before.size, length: 0 }]) {
    for (let at = end; at < match.at && left > 0; ) {
      const stop = Math.min(match.at, at + BLOCK_BYTES);
      if (!block.hasSpace({ start: at, end: stop })) {
        for (const region of block.aligned()) {
          left -= 1;
          yield region;
        }
      }
      block.add({ start: at, end: stop });
      at = stop;
    }
    block.pass(match);
    end = match.at + match.length;
  }
  yield* block.aligned();
}

/** Gaps between matches that are aligned with the same window, and the matches between them. */
class Block {
  readonly #before: Bytes;
  readonly #after: Bytes;
  readonly #references: References;
  readonly #aligner = new WindowAligner();
  readonly #buffer = new Uint8Array(WINDOW_BYTES);
  #parts: (Range | Match)[] = [];
  #near: Range[] = [];
  #length = 0;
  /** Place in the old content less place in the new one, of the last region. */
  #drift = 0;

  constructor(before: Bytes, after: Bytes, references: References) {
    this.#before = before;
    this.#after = after;
    this.#references = references;
  }

  hasSpace(gap: Range): boolean {
    if (this.#length === 0) return true;
    if (this.#length + gap.end - gap.start > BLOCK_BYTES) return false;
    return lengthOf(this.#with(gap)) <= WINDOW_BYTES;
  }

  add(gap: Range): void {
    this.#near = this.#with(gap);
    this.#length += gap.end - gap.start;
    this.#parts.push(gap);
  }

  pass(match: Match): void {
    if (match.length > 0) this.#parts.push(match);
  }

  /** Aligns all parts, and begins the next block. */
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

  #with(gap: Range): Range[] {
    return merged([...this.#near, ...this.#references.of(gap)], this.#before.size);
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
