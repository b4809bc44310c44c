import { isContinuous, nextTime, type ScheduleTimes, windowAt } from '#proto/schedule/window.ts';
import type { LinkPause } from '#proto/sync/pause.ts';

/**
 * When the link may be used and when the clock begins a pass, by the schedule (cron) and the window of the
 * configuration, and by a pause. All instants are in ms since 1970, all times in UTC.
 *
 * `proto/schedule/` computes windows and times of a schedule. This file derives from them the current use of the link
 * (`linkAt`) and the next pass (`nextPass`). It depends on nothing but the given time. `alarm.ts` calls a check again
 * when its result may change, also after the clock was set. `abort-at-close.ts` and `link-gate.ts` end work when the
 * window closes, `pause-watch.ts` when the link is paused.
 */

export type LinkUse = {
  /** Whether the link may be used. */
  usable: boolean;
  /** Whether changes by clients are pushed at once: in an open window, or always if the schedule is continuous. */
  live: boolean;
  /** When the window closes, or opens next; absent while the link is paused. */
  until?: number;
  /** Not usable, not even by a pass with `now`. */
  paused?: LinkPause;
  /** Aborts with a Fault `paused` when the link is paused before `until`. */
  interrupted?: AbortSignal;
};

export type Due = { at: number; cause: 'schedule' | 'window' | 'retry' };

const MINUTE_MS = 60_000;

export function linkAt(times: ScheduleTimes, now: number): LinkUse {
  if (times.paused) return { usable: false, live: false, paused: times.paused };
  const window = windowAt(times, now);
  if (!window) return { usable: true, live: isContinuous(times) };
  return { usable: window.open, live: window.open, until: window.until };
}

/**
 * When the clock begins the next pass after `now`: at each time of the schedule; with a window, when it opens and then
 * each minute until it closes.
 * @param retry when a failed pass is retried; applies if it is earlier than the next time of the schedule
 * @returns undefined if the schedule has no further time, and while the link is paused
 */
export function nextPass(times: ScheduleTimes, now: number, retry?: number): Due | undefined {
  if (times.paused) return undefined;
  const window = windowAt(times, now);
  if (window) {
    const nextMinute = (Math.floor(now / MINUTE_MS) + 1) * MINUTE_MS;
    if (window.open && nextMinute < window.until) return { at: nextMinute, cause: 'schedule' };
    // The next window may open at the moment in which this one closes.
    const following = window.open ? windowAt(times, window.until) : undefined;
    return { at: !following || following.open ? window.until : following.until, cause: 'window' };
  }
  const at = nextTime(times.schedule, now);
  if (retry !== undefined && !isContinuous(times) && (at === undefined || retry < at)) {
    return { at: Math.max(retry, now), cause: 'retry' };
  }
  return at === undefined ? undefined : { at, cause: 'schedule' };
}

/** Backoff between retries of a failed pass. */
export const PASS_RETRY = { firstMs: MINUTE_MS, maxMs: 30 * MINUTE_MS };
