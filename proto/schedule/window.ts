import { Cron } from 'croner';
import type { LinkPause } from '#proto/sync/pause.ts';

/**
 * When the link may be used, and how fast: windows and times of a schedule (this file), the limit of bandwidth at a
 * time (bandwidth-limit.ts), and when an amount of bytes will have crossed (estimate.ts). Pure, apart from caches.
 * Instants in ms since 1970, all in UTC.
 */

export type ScheduleTimes = {
  /** Cron, five fields. */
  schedule: string;
  /** Duration of the window that opens at each time of the schedule. Absent: the link may always be used. */
  windowMs?: number | undefined;
  /** The link is paused: schedule and window do not count. */
  paused?: LinkPause | undefined;
};

export type Window = {
  open: boolean;
  /** When it closes, or opens next. If the window stays open for more than a day: a time after that day. */
  until: number;
};

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const HORIZON_MS = 2 * DAY_MS;

/** The last result, valid until it ends: walking through many times of a schedule is slow. */
let cachedWindow: { schedule: string; windowMs: number; from: number; window: Window } | undefined;

/** Undefined if no window is configured. Windows that overlap or touch are merged. */
export function windowAt({ schedule, windowMs }: ScheduleTimes, now: number): Window | undefined {
  if (windowMs === undefined) return undefined;
  if (cachedWindow?.schedule === schedule && cachedWindow.windowMs === windowMs && now >= cachedWindow.from) {
    const { from, window } = cachedWindow;
    const isEnd = !window.open || window.until < from + HORIZON_MS;
    if (now < window.until - (isEnd ? 0 : DAY_MS)) return window;
  }
  cachedWindow = { schedule, windowMs, from: now, window: computeWindow(cronOf(schedule), windowMs, now) };
  return cachedWindow.window;
}

/** The same without the cache, for times of which nothing is remembered. */
export const windowFrom = ({ schedule, windowMs }: ScheduleTimes, now: number): Window | undefined =>
  windowMs === undefined ? undefined : computeWindow(cronOf(schedule), windowMs, now);

function computeWindow(cron: Cron, windowMs: number, now: number): Window {
  let end = now;
  // Each step advances by at least a minute, the resolution of a schedule.
  while (end < now + HORIZON_MS) {
    const start = lastTime(cron, end);
    if (start === undefined || start + windowMs <= end) break;
    end = start + windowMs;
  }
  if (end > now) return { open: true, until: end };
  return { open: false, until: nextOf(cron, now) ?? now + DAY_MS };
}

/** Whether the link may always be used and every minute has a pass, so that changes are pushed at once. */
export const isContinuous = ({ schedule, windowMs }: ScheduleTimes): boolean =>
  windowMs === undefined && isEachMinute(schedule);

const isEachMinute = (schedule: string) => schedule.trim().split(/\s+/).join(' ') === '* * * * *';

/** The last result, valid until its time has passed. */
let cachedNext: { schedule: string; from: number; at: number | undefined } | undefined;

/** The first time of the schedule after `now`; undefined if it has no further time. */
export function nextTime(schedule: string, now: number): number | undefined {
  if (isEachMinute(schedule)) return (Math.floor(now / MINUTE_MS) + 1) * MINUTE_MS;
  const known = cachedNext?.schedule === schedule && now >= cachedNext.from ? cachedNext : undefined;
  if (known && (known.at === undefined || now < known.at)) return known.at;
  cachedNext = { schedule, from: now, at: nextOf(cronOf(schedule), now) };
  return cachedNext.at;
}

/** The last schedule that was parsed: parsing is slower than evaluating. */
let cachedCron: { schedule: string; cron: Cron } | undefined;

function cronOf(schedule: string): Cron {
  if (cachedCron?.schedule !== schedule) {
    cachedCron = { schedule, cron: new Cron(schedule, { paused: true, timezone: 'UTC' }) };
  }
  return cachedCron.cron;
}

const nextOf = (cron: Cron, now: number) => cron.nextRun(new Date(now))?.getTime();

/** The last time of the schedule at or before `instant`: times are full minutes. */
function lastTime(cron: Cron, instant: number): number | undefined {
  const minuteAfter = Math.floor(instant / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
  return cron.previousRuns(1, new Date(minuteAfter))[0]?.getTime();
}
