import type { Region } from '../format/regions.ts';

/** Regions before the last one that may have what a match refers to. */
const MAX_PASSED = 64;

/** Reads an alignment in order, while the place in the new content advances. */
export class RegionCursor {
  readonly #regions: Iterator<Region>;
  readonly #passed: Region[] = [];
  #next: Region | undefined;
  #isEnd = false;

  constructor(regions: Iterable<Region>) {
    this.#regions = regions[Symbol.iterator]();
  }

  /** The region at a place, or the next one behind it. */
  at(place: number): Region | undefined {
    while (!this.#isEnd && (!this.#next || this.#next.at + this.#next.length <= place)) {
      if (this.#next) this.#pass(this.#next);
      const next = this.#regions.next();
      this.#isEnd = next.done === true;
      this.#next = next.done ? undefined : next.value;
    }
    return this.#next;
  }

  /** Place in the new content of what the last regions have at a place of the base. */
  placeOf(from: number): number | undefined {
    for (let index = this.#passed.length - 1; index >= 0; index -= 1) {
      const region = this.#passed[index] as Region;
      if (from >= region.from && from < region.from + region.length) return region.at + from - region.from;
    }
    return undefined;
  }

  #pass(region: Region): void {
    this.#passed.push(region);
    if (this.#passed.length > MAX_PASSED) this.#passed.shift();
  }
}
