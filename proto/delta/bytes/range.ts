/** Places of bytes from `start` to before `end`. */
export type Range = { start: number; end: number };

/** In order, without overlaps, within `size`. */
export function merged(ranges: readonly Range[], size: number): Range[] {
  const result: Range[] = [];
  for (const { start, end } of [...ranges].sort((one, other) => one.start - other.start)) {
    const range = { start: Math.max(0, start), end: Math.min(size, end) };
    const last = result.at(-1);
    if (range.end <= range.start) continue;
    if (last && range.start <= last.end) last.end = Math.max(last.end, range.end);
    else result.push(range);
  }
  return result;
}

export const lengthOf = (ranges: readonly Range[]): number =>
  ranges.reduce((sum, { start, end }) => sum + end - start, 0);
