/** Sizes and times for people, in the one system of units of Terrace: docs/design/decisions.md, "The terminal". */

const units = ['B', 'kB', 'MB', 'GB', 'TB'];

/** `1.5 GB`: powers of 1000, like container tools. A rate is one of these a second: `1.5 MB/s`. */
export function formatBytes(count: number): string {
  let value = count;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit += 1) value /= 1_000;
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `0.25 s`, `6 s`: a time limit or a wait, with two digits if it is short. */
export function formatSeconds(ms: number): string {
  const seconds = ms / 1_000;
  return `${seconds < 10 ? Number(seconds.toPrecision(2)) : Math.round(seconds)} s`;
}
