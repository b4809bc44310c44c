import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { backoffMs } from '#proto/async/backoff.ts';
import { type ScheduleTimes, windowAt } from '#proto/schedule/window.ts';
import { PassClock } from '../../../services/syncer/coordinator/pass-clock.ts';
import { PASS_RETRY } from '../../../services/syncer/schedule/link-schedule.ts';
import { quiet } from '../../support/bus.ts';

/** When passes are due, in simulated time. */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const at = (text: string) => Date.parse(`2026-03-${text}Z`);

let now = 0;
let clock: PassClock;
let times: ScheduleTimes | undefined;
let ticks: { at: number; cause: string }[];
let checks: number;
let following: boolean;

beforeEach(() => {
  now = at('02T00:00:30');
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now });
  ticks = [];
  checks = 0;
  following = false;
  clock = new PassClock({
    times: () => times,
    tick: (cause) => ticks.push({ at: Date.now(), cause }),
    isFollowing: () => following,
    onCheck: () => {
      checks += 1;
    },
    log: quiet,
  });
});
afterEach(() => {
  clock.stop();
  mock.timers.reset();
});

/** Advances the time in steps that end at whole minutes: a timer sees the end of the step in which it fires. */
function pass(ms: number, step = MINUTE / 2): void {
  for (let left = ms; left > 0; left -= step) mock.timers.tick(Math.min(left, step));
}
const tickTimes = () => ticks.map(({ at: time }) => new Date(time).toISOString().slice(8, 16));
const minutes = (from: string, count: number) =>
  Array.from({ length: count }, (_, index) => new Date(at(from) + index * MINUTE).toISOString().slice(8, 16));

test('a continuous schedule begins a pass each minute, and none at the start', () => {
  times = { schedule: '* * * * *' };
  clock.start();
  assert.deepEqual(ticks, []);
  pass(HOUR);
  assert.deepEqual(tickTimes(), minutes('02T00:01', 60));
});

test('the clock begins no pass while a long poll is active at the parent, and continues when it ends', () => {
  times = { schedule: '* * * * *' };
  clock.start();
  following = true;
  pass(HOUR);
  assert.deepEqual(ticks, []);
  following = false;
  pass(MINUTE);
  assert.deepEqual(tickTimes(), minutes('02T01:01', 1));
});

test('a pass begins when a window opens and each minute while it is open, and none outside', () => {
  times = { schedule: '30 2 * * 1-5', windowMs: 2 * HOUR };
  clock.start();
  pass(7 * DAY);
  const expected = ['02', '03', '04', '05', '06'].flatMap((day) => minutes(`${day}T02:30`, 120));
  assert.deepEqual(tickTimes(), expected);
  assert.deepEqual(
    ticks.filter(({ cause }) => cause === 'window').map(({ at: time }) => new Date(time).toISOString()),
    ['02', '03', '04', '05', '06'].map((day) => `2026-03-${day}T02:30:00.000Z`),
  );
  assert.ok(ticks.every(({ at: time }) => windowAt(times as ScheduleTimes, time)?.open));
  assert.ok(checks >= 7 * 24 * 60);
});

test('adjacent windows leave no minute out', () => {
  times = { schedule: '0 * * * *', windowMs: HOUR };
  clock.start();
  pass(3 * HOUR);
  assert.deepEqual(tickTimes(), minutes('02T00:01', 180));
});

test('a window of a minute has one pass', () => {
  times = { schedule: '0 3 * * *', windowMs: MINUTE };
  clock.start();
  pass(2 * DAY);
  assert.deepEqual(tickTimes(), ['02T03:00', '03T03:00']);
});

test('a schedule without a window begins passes at its times, also beyond the range of a timer', () => {
  times = { schedule: '0 4 1 * *' };
  clock.start();
  pass(HOUR - MINUTE / 2, HOUR);
  pass(31 * DAY, HOUR);
  assert.deepEqual(
    ticks.map(({ at: time }) => new Date(time).toISOString()),
    ['2026-04-01T04:00:00.000Z'],
  );
});

test('a failed pass of a nightly schedule is retried after 1, 2, 4 … 30 minutes until it succeeds', () => {
  times = { schedule: '0 2 * * *' };
  clock.start();
  pass(2 * HOUR);
  assert.equal(ticks.length, 1);
  for (const maxMinutes of [1, 2, 4, 8, 16, 30, 30]) {
    clock.passEnded(false);
    const failed = Date.now();
    const before: number = ticks.length;
    while (ticks.length === before) mock.timers.tick(1_000);
    const { at: time, cause } = ticks.at(-1)!;
    assert.equal(cause, 'retry');
    const waited = (time - failed) / MINUTE;
    assert.ok(waited >= maxMinutes * 0.5 && waited <= maxMinutes, `${waited} min instead of ${maxMinutes}`);
  }
  clock.passEnded(true);
  const before = ticks.length;
  pass(12 * HOUR);
  assert.equal(ticks.length, before);
});

test('retries end at the next time of the schedule, and the backoff restarts there', () => {
  times = { schedule: '0 * * * *' };
  clock.start();
  pass(HOUR);
  for (let round = 0; round < 5; round += 1) {
    clock.passEnded(false);
    const before: number = ticks.length;
    while (ticks.length === before) mock.timers.tick(1_000);
  }
  clock.passEnded(false);
  pass(HOUR);
  const scheduled = ticks.filter(({ cause }) => cause === 'schedule');
  assert.deepEqual(
    scheduled.map(({ at: time }) => new Date(time).getUTCMinutes()),
    scheduled.map(() => 0),
  );
  const before = ticks.length;
  clock.passEnded(false);
  pass(MINUTE);
  assert.equal(ticks.length, before + 1, 'the first retry comes within a minute again');
});

test('with a continuous schedule and in a window, a failed pass is retried at the next minute, not sooner', () => {
  for (const current of [{ schedule: '* * * * *' }, { schedule: '0 0 * * *', windowMs: DAY }]) {
    times = current;
    clock.start();
    clock.passEnded(false);
    const before = ticks.length;
    pass(29_000);
    assert.equal(ticks.length, before);
    pass(1_000);
    assert.equal(ticks.length, before + 1);
    pass(30_000);
  }
});

test('a failed pass is not retried outside the window', () => {
  times = { schedule: '0 3 * * *', windowMs: 2 * MINUTE };
  clock.start();
  pass(3 * HOUR + MINUTE);
  clock.passEnded(false);
  const before = ticks.length;
  pass(20 * HOUR);
  assert.equal(ticks.length, before);
});

test('the next pass is recomputed within a minute after the clock is set', () => {
  times = { schedule: '0 2 * * *', windowMs: HOUR };
  mock.timers.setTime(Date.parse('1970-01-01T00:00:10Z'));
  clock.start();
  mock.timers.setTime(at('02T02:10:00'));
  pass(MINUTE);
  assert.ok(ticks.length >= 1);
  assert.ok(ticks.every(({ at: time }) => windowAt(times as ScheduleTimes, time)?.open));
});

test('a machine that slept through a window begins no pass after it', () => {
  times = { schedule: '0 2 * * *', windowMs: HOUR };
  clock.start();
  mock.timers.setTime(at('02T09:00:00'));
  pass(HOUR);
  assert.deepEqual(ticks, []);
});

test('a new schedule and window are in force at once', () => {
  times = { schedule: '* * * * *' };
  clock.start();
  times = { schedule: '0 3 * * *', windowMs: HOUR };
  clock.changed();
  pass(HOUR);
  assert.deepEqual(ticks, []);
  times = undefined;
  clock.changed();
  pass(DAY);
  assert.deepEqual(ticks, []);
});

test('the backoff doubles with each failure up to 30 minutes, with jitter down to half of it', () => {
  for (const [failures, maxMinutes] of [1, 2, 4, 8, 16, 30, 30].entries()) {
    assert.equal(backoffMs(failures + 1, PASS_RETRY, 1), maxMinutes * MINUTE);
    assert.equal(backoffMs(failures + 1, PASS_RETRY, 0), (maxMinutes * MINUTE) / 2);
  }
});
