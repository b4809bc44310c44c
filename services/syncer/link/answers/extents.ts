/** A half-open range of bytes: from `start` up to, but not including, `end`. */
export type Extent = { start: number; end: number };

/** A set of bytes, as sorted extents that neither overlap nor touch: present bytes, and the gaps to fetch. Pure. */
export class Extents {
  readonly #list: Extent[] = [];
  #bytes = 0;

  constructor(extents: Iterable<Extent> = []) {
    for (const extent of extents) this.add(extent);
  }

  add({ start, end }: Extent): void {
    if (end <= start) return;
    const first = this.#indexAt(start);
    let after = first;
    const merged = { start, end };
    for (let one = this.#list[after]; one && one.start <= end; one = this.#list[after]) {
      merged.start = Math.min(merged.start, one.start);
      merged.end = Math.max(merged.end, one.end);
      this.#bytes -= one.end - one.start;
      after += 1;
    }
    this.#list.splice(first, after - first, merged);
    this.#bytes += merged.end - merged.start;
  }

  get bytes(): number {
    return this.#bytes;
  }

  [Symbol.iterator](): Iterator<Extent> {
    return this.#list.values();
  }

  /** End of the contiguous bytes from `at` on; `at` itself if that byte is missing. */
  reach(at: number): number {
    const one = this.#list[this.#indexAt(at + 1)];
    return one && one.start <= at ? one.end : at;
  }

  /** Start of the next extent after `at`; infinity if none follows. */
  next(at: number): number {
    const index = this.#indexAt(at + 1);
    const one = this.#list[index];
    const following = one && one.start <= at ? this.#list[index + 1] : one;
    return following?.start ?? Number.POSITIVE_INFINITY;
  }

  /** The gaps in `[from, size)`. */
  missing(size: number, from = 0): Extent[] {
    const gaps: Extent[] = [];
    let at = from;
    for (let index = this.#indexAt(from); at < size; index += 1) {
      const { start, end } = this.#list[index] ?? { start: size, end: size };
      const until = Math.min(start, size);
      if (at < until) gaps.push({ start: at, end: until });
      at = Math.max(at, end);
    }
    return gaps;
  }

  /** Index of the first extent that ends at `at` or later. */
  #indexAt(at: number): number {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#list[middle] as Extent).end < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
