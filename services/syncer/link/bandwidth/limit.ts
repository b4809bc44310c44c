import type { Configuration } from '#proto/document/configuration.ts';

/** Which limit holds when. Pure. */
export type Limits = Configuration['bandwidth'];

/** Bytes a second, none where `rate` is undefined; it stays so until `until` at least, in ms since 1970. */
export type Limit = { rate: number | undefined; until: number };

const MINUTE_MS = 60_000;
const DAY = 24 * 60;

/** The first entry that fits the minute of the day (UTC) counts. One with `to` before `from` goes over midnight. */
export function limitAt(limits: Limits, now: number): Limit {
  const minutes = Math.floor(now / MINUTE_MS);
  const minute = minutes % DAY;
  const rate = limits.find((entry) => fits(entry, minute))?.limit;
  const waits = limits.flatMap(edges).map((edge) => (edge - minute + DAY) % DAY || DAY);
  const wait = waits.reduce((least, one) => Math.min(least, one), Number.POSITIVE_INFINITY);
  const until = (minutes + wait) * MINUTE_MS;
  return { rate, until };
}

function fits({ from = 0, to = DAY }: Limits[number], minute: number): boolean {
  if (from === to) return true;
  return from < to ? from <= minute && minute < to : from <= minute || minute < to;
}

/** The minutes at which it begins or ends to fit. */
function edges({ from, to }: Limits[number]): number[] {
  return from === undefined && to === undefined ? [] : [from ?? 0, (to ?? DAY) % DAY];
}
