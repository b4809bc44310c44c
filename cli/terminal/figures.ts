import { singleLine } from './terminal.ts';

/** Numbers, durations and tables for people. */

const units = ['B', 'kB', 'MB', 'GB', 'TB'];

/** `1.5 GB`: powers of 1000, like container tools. */
export function formatBytes(count: number): string {
  let value = count;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit += 1) value /= 1_000;
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `45 s`, `12 min`, `3 h 20 min`, `5 d 2 h` */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const plural = (count: number, noun: string, many = `${noun}s`): string =>
  `${count} ${count === 1 ? noun : many}`;

/** Rows with aligned columns; the first row has all columns. */
export function table(given: string[][]): string {
  const rows = given.map((row) => row.map(singleLine));
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((max, row) => Math.max(max, row[column]?.length ?? 0), 0),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `sha256:0123456789ab…` */
export const shortDigest = (digest: string): string => `${digest.slice(0, digest.indexOf(':') + 13)}`;
