import type { Configuration } from '#proto/document/configuration.ts';

/** The configured limits, of which `limitAt` finds the one in force. Pure. */
export type Limits = Configuration['bandwidth'];

/** `rate` in bytes/s; undefined: no limit. In force at least until `until`, in ms since 1970. */
export type Limit = { rate: number | undefined; until: number };

const MINUTE_MS = 60_000;
/** In minutes. */
const DAY = 24 * 60;

/** The first entry that fits the minute of the day (UTC) applies. An entry with `to` before `from` spans midnight. */
export function limitAt(limits: Limits, now: number): Limit {
  const minutes = Math.floor(now / MINUTE_MS);
  const minute = minutes % DAY;
  const rate = limits.find((entry) => fits(entry, minute))?.limit;
  const waits = limits.flatMap(edges).map((edge) => (edge - minute + DAY) % DAY || DAY);
  const wait = waits.reduce((min, one) => Math.min(min, one), Number.POSITIVE_INFINITY);
  const until = (minutes + wait) * MINUTE_MS;
  return { rate, until };
}

function fits({ from = 0, to = DAY }: Limits[number], minute: number): boolean {
  if (from === to) return true;
  return from < to ? from <= minute && minute < to : from <= minute || minute < to;
}

/** The minutes of the day at which the entry begins or ceases to apply. */
function edges({ from, to }: Limits[number]): number[] {
  return from === undefined && to === undefined ? [] : [from ?? 0, (to ?? DAY) % DAY];
}
