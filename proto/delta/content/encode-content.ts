import { type ByteSink, type Bytes, readExactly } from '../bytes/bytes.ts';
import type { Range } from '../bytes/range.ts';
import { writeVarint } from '../bytes/varint.ts';
import type { Region } from '../format/regions.ts';
import { differenceAt, NEW_DIFFERENCE, RecentDifferences, WORD_BYTES } from './recent-differences.ts';

const COMPARED_BYTES = 256 * 1024;
const MAX_NUMBER_BYTES = 8;

/** What is written of a content: `ContentParts` has what these are. */
export type ContentSinks = {
  equals: ByteSink;
  recents: ByteSink;
  differences: ByteSink;
  literal(range: Range): void;
};

/** Writes the content by its differences from what it is aligned with. */
export function encodeContent(
  after: Bytes,
  before: Bytes,
  regions: Iterable<Region>,
  sinks: ContentSinks,
): void {
  const writer = new DifferenceWriter(sinks);
  let end = 0;
  for (const { at, from, length } of regions) {
    if (at > end) sinks.literal({ start: end, end: at });
    end = at + length;
    for (let done = 0; done < length; ) {
      const count = Math.min(COMPARED_BYTES, length - done);
      const [now, old] = [readExactly(after, at + done, count), readExactly(before, from + done, count)];
      done += writer.write(old, now, done + count === length);
    }
  }
  if (after.size > end) sinks.literal({ start: end, end: after.size });
}

class DifferenceWriter {
  readonly #sinks: ContentSinks;
  readonly #recent = new RecentDifferences();
  readonly #number = new Uint8Array(MAX_NUMBER_BYTES);
  #equal = 0;

  constructor(sinks: ContentSinks) {
    this.#sinks = sinks;
  }

  /** @returns how many bytes it wrote: all, unless a difference may continue behind them */
  write(before: Uint8Array, after: Uint8Array, isEnd: boolean): number {
    const count = after.length;
    for (let at = 0; at < count; ) {
      if (after[at] === before[at]) {
        this.#equal += 1;
        at += 1;
        continue;
      }
      const length = Math.min(WORD_BYTES, count - at);
      if (length < WORD_BYTES && !isEnd) return at;
      this.#difference(differenceAt(before, after, at, length));
      at += length;
    }
    return count;
  }

  #difference(difference: number): void {
    const { equals, recents, differences } = this.#sinks;
    this.#append(equals, this.#equal);
    this.#equal = 0;
    const index = this.#recent.take(difference);
    this.#number[0] = index < 0 ? NEW_DIFFERENCE : index;
    recents.append(this.#number.subarray(0, 1));
    if (index < 0) this.#append(differences, difference < 0 ? -2 * difference - 1 : 2 * difference);
  }

  #append(sink: ByteSink, value: number): void {
    sink.append(this.#number.subarray(0, writeVarint(this.#number, 0, value)));
  }
}
