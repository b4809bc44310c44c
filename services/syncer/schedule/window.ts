import { Cron } from 'croner';

/** When the link may be used: pure, of the time that is given. Instants in ms, all in UTC. */

export type Times = {
  /** Cron, five fields. */
  schedule: string;
  /** How long the link may be used from each time of the schedule on; always where left out. */
  windowMs?: number | undefined;
};

export type Window = {
  open: boolean;
  /** When it closes, or opens next. Of a window that stays open for more than a day: a time after that day. */
  until: number;
};

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const HORIZON = 2 * DAY;

/** The last answer holds until it ends: looking through many times of a schedule takes a while. */
let last: { schedule: string; windowMs: number; from: number; window: Window } | undefined;

/** Undefined where there is no window. Windows that overlap or touch are one. */
export function windowAt({ schedule, windowMs }: Times, now: number): Window | undefined {
  if (windowMs === undefined) return undefined;
  if (last?.schedule === schedule && last.windowMs === windowMs && now >= last.from) {
    const { from, window } = last;
    const isEnd = !window.open || window.until < from + HORIZON;
    if (now < window.until - (isEnd ? 0 : DAY)) return window;
  }
  last = { schedule, windowMs, from: now, window: look(cronOf(schedule), windowMs, now) };
  return last.window;
}

function look(cron: Cron, windowMs: number, now: number): Window {
  let end = now;
  // Each step goes on by a minute at least, as no two times of a schedule are nearer.
  while (end < now + HORIZON) {
    const before = lastTime(cron, end);
    if (before === undefined || before + windowMs <= end) break;
    end = before + windowMs;
  }
  if (end > now) return { open: true, until: end };
  return { open: false, until: nextOf(cron, now) ?? now + DAY };
}

/** Whether the link may be used the whole time, so that a change goes up as soon as it is made. */
export const isContinuous = ({ schedule, windowMs }: Times): boolean =>
  windowMs === undefined && isEachMinute(schedule);

const isEachMinute = (schedule: string) => schedule.trim().split(/\s+/).join(' ') === '* * * * *';

/** Holds until it comes. */
let coming: { schedule: string; from: number; at: number | undefined } | undefined;

/** The first time of the schedule after `now`; undefined where none comes. */
export function nextTime(schedule: string, now: number): number | undefined {
  if (isEachMinute(schedule)) return (Math.floor(now / MINUTE) + 1) * MINUTE;
  const known = coming?.schedule === schedule && now >= coming.from ? coming : undefined;
  if (known && (known.at === undefined || now < known.at)) return known.at;
  coming = { schedule, from: now, at: nextOf(cronOf(schedule), now) };
  return coming.at;
}

/** That of the last schedule: reading one takes longer than what is asked of it. */
let read: { schedule: string; cron: Cron } | undefined;

function cronOf(schedule: string): Cron {
  if (read?.schedule !== schedule) {
    read = { schedule, cron: new Cron(schedule, { paused: true, timezone: 'UTC' }) };
  }
  return read.cron;
}

const nextOf = (cron: Cron, now: number) => cron.nextRun(new Date(now))?.getTime();

/** The last time of the schedule that is not after `instant`: times are whole minutes. */
function lastTime(cron: Cron, instant: number): number | undefined {
  const minuteAfter = Math.floor(instant / MINUTE) * MINUTE + MINUTE;
  return cron.previousRuns(1, new Date(minuteAfter))[0]?.getTime();
}
