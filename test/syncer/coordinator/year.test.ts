import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScheduleTimes } from '#proto/schedule/window.ts';
import { PassClock } from '../../../services/syncer/coordinator/pass-clock.ts';
import { quiet } from '../../support/bus.ts';
import { ScheduleModel } from '../../support/time/minutes.ts';
import { random } from '../../support/time/random.ts';
import { SimulatedTime } from '../../support/time/simulated-time.ts';

/** A leap year of schedules and windows: `PassClock` is compared with a computation by minutes, `ScheduleModel`. */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.parse('2027-12-31T23:57:00Z');
const END = Date.parse('2029-01-01T00:03:00Z');
/** Tolerance, in ms: timers are slightly late. */
const TOLERANCE_MS = 10;

const schedules: Record<string, ScheduleTimes> = {
  'each night for two hours': { schedule: '0 2 * * *', windowMs: 2 * HOUR },
  'on the 31st, into the next month': { schedule: '30 22 31 * *', windowMs: 4 * HOUR },
  'on leap days': { schedule: '0 0 29 2 *', windowMs: DAY },
  'overlapping windows': { schedule: '*/20 6-9 * * *', windowMs: 30 * MINUTE },
  'adjacent windows of a week': { schedule: '0 0 * * 0', windowMs: 7 * DAY },
  'on working days, without a window': { schedule: '0 6 * * 1-5', windowMs: undefined },
  'days of the month or the week': { schedule: '15 4 1,15 * 5', windowMs: undefined },
  continuous: { schedule: '* * * * *', windowMs: undefined },
};

/** Each schedule takes nearly half a second. */
const quick = ['on leap days', 'overlapping windows', 'days of the month or the week', 'continuous'];
const chosen = process.env.TERRACE_FULL === '1' ? Object.keys(schedules) : quick;

for (const name of chosen) {
  const times = schedules[name] as ScheduleTimes;
  test(`passes of a year begin exactly when they are due: ${name}`, async () => {
    const next = random(1);
    using time = new SimulatedTime(START, () => Math.floor(next() * 4) - 1);
    const wrong: string[] = [];
    const expected = new ScheduleModel(times.schedule, times.windowMs, START, END);
    let due = START;
    let count = 0;
    const clock = new PassClock({
      times: () => times,
      tick: () => {
        const at = Math.floor(time.now / MINUTE) * MINUTE;
        for (due += MINUTE; due < at; due += MINUTE) {
          if (expected.isDue(due)) wrong.push(`none at ${new Date(due).toISOString()}`);
        }
        count += 1;
        if (due === at && expected.isDue(at) && time.now - at < TOLERANCE_MS) return;
        wrong.push(`one at ${new Date(time.now).toISOString()}`);
      },
      onCheck: () => {},
      log: quiet,
    });
    clock.start();
    await time.advance(END - START - 1, () => undefined);
    for (due += MINUTE; due < END; due += MINUTE) {
      if (expected.isDue(due)) wrong.push(`none at ${new Date(due).toISOString()}`);
    }
    clock.stop();
    assert.deepEqual(wrong.slice(0, 10), []);
    assert.ok(count > 0);
  });
}
