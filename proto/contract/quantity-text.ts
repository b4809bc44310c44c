/** Sizes, times and counts for people, in the units of Terrace: docs/design/decisions.md, "The terminal". */

const units = ['B', 'kB', 'MB', 'GB', 'TB'];

/** `1.5 GB`: powers of 1000, like container tools. A rate is one of these a second: `1.5 MB/s`. */
export function formatBytes(count: number): string {
  let value = count;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit += 1) value /= 1_000;
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `1 tag`, `3 tags`; `1 blob is`, `2 blobs are` with both given */
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** `0.25 s`, `6 s`: a time limit or a wait, with two digits if it is short. */
export function formatSeconds(ms: number): string {
  const seconds = ms / 1_000;
  return `${seconds < 10 ? Number(seconds.toPrecision(2)) : Math.round(seconds)} s`;
}

/** `45 s`, `12 min`, `3 h 20 min`, `5 d 2 h`, `5 d` */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.floor(hours / 24)} d`;
}
