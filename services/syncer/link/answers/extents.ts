/** A half-open range of bytes: from `start` up to, but not including, `end`. */
export type Extent = { start: number; end: number };

/** A set of bytes, as sorted extents that neither overlap nor touch: present bytes, and the gaps to fetch. Pure. */
export class Extents {
  #list: Extent[] = [];

  constructor(extents: Iterable<Extent> = []) {
    for (const extent of extents) this.add(extent);
  }

  add({ start, end }: Extent): void {
    if (end <= start) return;
    const before = this.#list.filter((one) => one.end < start);
    const after = this.#list.filter((one) => one.start > end);
    const touched = this.#list.slice(before.length, this.#list.length - after.length);
    const merged = {
      start: Math.min(start, touched[0]?.start ?? start),
      end: Math.max(end, touched.at(-1)?.end ?? end),
    };
    this.#list = [...before, merged, ...after];
  }

  get bytes(): number {
    return this.#list.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** End of the contiguous bytes from `at` on; `at` itself if that byte is missing. */
  reach(at: number): number {
    return this.#list.find((one) => one.start <= at && at < one.end)?.end ?? at;
  }

  /** Start of the next extent after `at`; infinity if none follows. */
  next(at: number): number {
    return this.#list.find((one) => one.start > at)?.start ?? Number.POSITIVE_INFINITY;
  }

  /** The gaps in `[0, size)`. */
  missing(size: number): Extent[] {
    const gaps: Extent[] = [];
    let at = 0;
    for (const { start, end } of [...this.#list, { start: size, end: size }]) {
      const until = Math.min(start, size);
      if (at < until) gaps.push({ start: at, end: until });
      at = Math.max(at, end);
    }
    return gaps;
  }
}
