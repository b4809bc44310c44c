import { isContinuous, nextTime, type Times, windowAt } from './window.ts';

/** When the link may be used, and when passes begin. Pure. */

export type Link = {
  /** Whether it may be used. */
  usable: boolean;
  /** Whether what a client changes goes up at once: in a window, or the whole time. */
  live: boolean;
  /** When the window closes, or opens. */
  until?: number;
};

export type Due = { at: number; cause: 'schedule' | 'window' | 'retry' };

const MINUTE = 60_000;

export function linkAt(times: Times, now: number): Link {
  const window = windowAt(times, now);
  if (!window) return { usable: true, live: isContinuous(times) };
  return { usable: window.open, live: window.open, until: window.until };
}

/**
 * When the clock begins the next pass after `now`: at each time of the schedule; where there is a window, when it
 * opens and then each minute until it closes.
 * @param retry when a pass that failed is tried again, if the schedule alone would leave it for longer
 */
export function nextPass(times: Times, now: number, retry?: number): Due | undefined {
  const window = windowAt(times, now);
  if (window) {
    const minute = (Math.floor(now / MINUTE) + 1) * MINUTE;
    if (window.open && minute < window.until) return { at: minute, cause: 'schedule' };
    // The next one may open as this one closes.
    const after = window.open ? windowAt(times, window.until) : undefined;
    return { at: !after || after.open ? window.until : after.until, cause: 'window' };
  }
  const at = nextTime(times.schedule, now);
  if (retry !== undefined && !isContinuous(times) && (at === undefined || retry < at)) {
    return { at: Math.max(retry, now), cause: 'retry' };
  }
  return at === undefined ? undefined : { at, cause: 'schedule' };
}

/** When a pass that failed is tried again. */
export const PASS_RETRY = { firstMs: MINUTE, maxMs: 30 * MINUTE };
