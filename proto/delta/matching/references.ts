import { merged, type Range } from '../bytes/range.ts';
import type { Match } from './matches.ts';

/** Bytes around what is expected to resemble a range: these, and four times its length. */
const MARGIN_BYTES = 32 * 1024;
const MAX_MARGIN_BYTES = 1024 * 1024;

/** Where the old content has what resembles ranges of the new one. */
export class References {
  readonly #matches: readonly Match[];
  readonly #before: number;

  /** @param before length of the old content */
  constructor(matches: readonly Match[], before: number) {
    this.#matches = matches;
    this.#before = before;
  }

  /** Ranges of the old content in order, without overlaps. */
  of({ start, end }: Range): Range[] {
    const margin = Math.min(MAX_MARGIN_BYTES, MARGIN_BYTES + 4 * (end - start));
    const found: Range[] = [];
    const add = (from: number, to: number) => found.push({ start: from - margin, end: to + margin });
    const first = this.#firstBehind(start);
    const left = this.#matches[first - 1];
    const drift = left ? left.from - left.at : 0;
    let index = first;
    for (; ; index += 1) {
      const match = this.#matches[index];
      if (!match || match.at >= end) break;
      const [from, to] = [Math.max(start, match.at), Math.min(end, match.at + match.length)];
      add(from - match.at + match.from, to - match.at + match.from);
    }
    const right = this.#matches[index];
    if (index === first || !right) add(start + drift, end + drift);
    if (index === first && right) add(start + right.from - right.at, end + right.from - right.at);
    return merged(found, this.#before);
  }

  /** Index of the first match that ends behind `at`. */
  #firstBehind(at: number): number {
    let [low, high] = [0, this.#matches.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const { at: place, length } = this.#matches[middle] as Match;
      if (place + length <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
