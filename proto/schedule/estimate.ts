import { type Limits, limitAt } from './bandwidth-limit.ts';
import { type ScheduleTimes, windowFrom } from './window.ts';

/** Max time ahead for which an estimate is made, in ms: beyond it, an estimate says nothing. */
const HORIZON_MS = 60 * 24 * 60 * 60_000;
/** Max steps from one change of window or limit to the next. */
const MAX_STEPS = 2_000;

export type Pace = {
  times: ScheduleTimes;
  limits: Limits;
  /** Measured, in bytes/s; absent if nothing is known. */
  rate?: number | undefined;
};

/**
 * When this number of bytes will have crossed the link: at the measured rate or the limit, whichever is lower, and only
 * in windows. Pure.
 * @returns ms since 1970; undefined without any rate, and beyond 60 days
 */
export function crossedAt(bytes: number, { times, limits, rate }: Pace, now: number): number | undefined {
  let at = now;
  let left = bytes;
  for (let step = 0; step < MAX_STEPS && at < now + HORIZON_MS; step += 1) {
    const window = windowFrom(times, at);
    if (window && !window.open) {
      at = window.until;
      continue;
    }
    const limit = limitAt(limits, at);
    const speed = Math.min(rate ?? Number.POSITIVE_INFINITY, limit.rate ?? Number.POSITIVE_INFINITY);
    const end = Math.min(window?.until ?? Number.POSITIVE_INFINITY, limit.until);
    if (Number.isFinite(speed)) {
      const ms = (left / speed) * 1_000;
      if (at + ms <= end) return at + ms < now + HORIZON_MS ? Math.round(at + ms) : undefined;
      left -= ((end - at) / 1_000) * speed;
    } else if (!Number.isFinite(end)) return undefined;
    at = end;
  }
  return undefined;
}
