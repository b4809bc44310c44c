import { formatBytes as bytesText, formatDuration as durationText } from '#proto/contract/quantity-text.ts';

/**
 * Values as text, in the units of the command line: powers of 1000, as container tools have them. `quantities.ts` has
 * sizes, rates, durations and counts, `times.ts` instants, `names.ts` names and digests. Pure.
 */

export { bytesText, durationText };

/** `12.4 MB/s` */
export const rateText = (bytesPerSecond: number): string => `${bytesText(bytesPerSecond)}/s`;

/** `12,408`: the same in every language, so that a figure can be compared with one of the command line. */
export const countText = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',');

/** `1 tag`, `3 tags` */
export const plural = (count: number, noun: string, many = `${noun}s`): string =>
  `${countText(count)} ${count === 1 ? noun : many}`;

/** Never `100 %` before it is complete, and never `0 %` after the first byte. */
export function percentOf(done: number, total: number): number {
  if (total <= 0) return 0;
  const percent = Math.round((done / total) * 100);
  if (done >= total) return 100;
  return done > 0 ? Math.min(99, Math.max(1, percent)) : 0;
}
