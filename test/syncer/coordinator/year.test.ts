import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassClock } from '../../../services/syncer/coordinator/pass-clock.ts';
import type { ScheduleTimes } from '../../../services/syncer/schedule/window.ts';
import { quiet } from '../../support/bus.ts';
import { Minutes } from '../../support/time/minutes.ts';
import { random } from '../../support/time/random.ts';
import { SimulatedTime } from '../../support/time/simulated-time.ts';

/** A leap year of schedules and windows, by the clock of the syncer, and reckoned minute by minute. */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.parse('2027-12-31T23:57:00Z');
const END = Date.parse('2029-01-01T00:03:00Z');
/** How exactly passes begin, in ms: timers are late by a little. */
const EXACT = 10;

const schedules: Record<string, ScheduleTimes> = {
  'once a night for two hours': { schedule: '0 2 * * *', windowMs: 2 * HOUR },
  'on the last of long months, into the next one': { schedule: '30 22 31 * *', windowMs: 4 * HOUR },
  'on leap days': { schedule: '0 0 29 2 *', windowMs: DAY },
  'windows that overlap': { schedule: '*/20 6-9 * * *', windowMs: 30 * MINUTE },
  'windows that touch for a week': { schedule: '0 0 * * 0', windowMs: 7 * DAY },
  'on working days, no window': { schedule: '0 6 * * 1-5', windowMs: undefined },
  'days of the month or of the week': { schedule: '15 4 1,15 * 5', windowMs: undefined },
  'the whole time': { schedule: '* * * * *', windowMs: undefined },
};

/** Each takes nearly half a second. */
const short = ['on leap days', 'windows that overlap', 'days of the month or of the week', 'the whole time'];
const chosen = process.env.TERRACE_FULL === '1' ? Object.keys(schedules) : short;

for (const name of chosen) {
  const times = schedules[name] as ScheduleTimes;
  test(`a year of passes: ${name}`, async () => {
    const next = random(1);
    using time = new SimulatedTime(START, () => Math.floor(next() * 4) - 1);
    const wrong: string[] = [];
    const expected = new Minutes(times.schedule, times.windowMs, START, END);
    let due = START;
    let count = 0;
    const clock = new PassClock({
      times: () => times,
      tick: () => {
        const at = Math.floor(time.now / MINUTE) * MINUTE;
        for (due += MINUTE; due < at; due += MINUTE) {
          if (expected.due(due)) wrong.push(`none at ${new Date(due).toISOString()}`);
        }
        count += 1;
        if (due === at && expected.due(at) && time.now - at < EXACT) return;
        wrong.push(`one at ${new Date(time.now).toISOString()}`);
      },
      onCheck: () => {},
      log: quiet,
    });
    clock.start();
    await time.goOn(END - START - 1, () => undefined);
    for (due += MINUTE; due < END; due += MINUTE) {
      if (expected.due(due)) wrong.push(`none at ${new Date(due).toISOString()}`);
    }
    clock.stop();
    assert.deepEqual(wrong.slice(0, 10), []);
    assert.ok(count > 0);
  });
}
