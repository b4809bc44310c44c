import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isContinuous, nextTime, windowAt } from '#proto/schedule/window.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const at = (text: string) => Date.parse(`${text}Z`);
/** A Tuesday. */
const NOON = at('2030-01-01T12:00');

test('a window is open from each time of the schedule up to, but not including, its end', () => {
  const times = { schedule: '0 2 * * *', windowMs: HOUR };
  const opens = at('2030-01-02T02:00');
  assert.deepEqual(windowAt(times, NOON), { open: false, until: opens });
  assert.deepEqual(windowAt(times, opens - 1), { open: false, until: opens });
  for (const now of [opens, opens + 1, opens + HOUR - 1]) {
    assert.deepEqual(windowAt(times, now), { open: true, until: opens + HOUR });
  }
  assert.deepEqual(windowAt(times, opens + HOUR), { open: false, until: opens + DAY });
});

test('windows that overlap or touch are merged, up to the end of the last one', () => {
  const until = (schedule: string, windowMs: number) => windowAt({ schedule, windowMs }, NOON)?.until;
  assert.equal(until('*/30 12-13 * * *', HOUR), at('2030-01-01T14:30'));
  assert.equal(until('*/15 12 * * *', 15 * MINUTE), at('2030-01-01T13:00'));
  assert.equal(until('*/15 12 * * *', 14 * MINUTE), at('2030-01-01T12:14'));
  // Opened two days ago.
  assert.equal(until('0 0 * * 0', 3 * DAY), at('2030-01-02T00:00'));
});

test('a window that never closes is open for at least a day, and is computed quickly', () => {
  for (const [schedule, windowMs] of [
    ['* * * * *', MINUTE],
    ['* * * * *', HOUR],
    ['* * * * *', 7 * DAY],
    ['0 * * * *', HOUR],
    ['0 0 * * 1', 7 * DAY],
  ] as const) {
    const start = process.cpuUsage();
    const window = windowAt({ schedule, windowMs }, NOON + 123);
    // Processor time in µs: a computation minute by minute would take much longer.
    assert.ok(process.cpuUsage(start).user < 2_000_000, schedule);
    assert.equal(window?.open, true);
    assert.ok(window.until >= NOON + DAY && window.until <= NOON + 10 * DAY, schedule);
  }
});

test('without a configured window there is none, and then a schedule of each minute is continuous', () => {
  assert.equal(windowAt({ schedule: '* * * * *' }, NOON), undefined);
  assert.equal(isContinuous({ schedule: ' *  * * * * ' }), true);
  assert.equal(isContinuous({ schedule: '* * * * *', windowMs: HOUR }), false);
  assert.equal(isContinuous({ schedule: '*/2 * * * *' }), false);
});

test('the next time of a schedule is after now', () => {
  assert.equal(nextTime('0 12 * * *', NOON), NOON + DAY);
  assert.equal(nextTime('0 12 * * *', NOON - 1), NOON);
  assert.equal(nextTime('0 0 29 2 *', NOON), at('2032-02-29T00:00'));
  assert.equal(nextTime('0 0 31 2 *', NOON), undefined);
});

const minuteField = fc.constantFrom('0', '7', '*/10', '*/25', '0,1', '58-59');
const hourField = fc.constantFrom('*', '0', '3', '*/6', '22-23');
const dayField = fc.constantFrom('*', '1', '2-4');
const schedules = fc
  .tuple(minuteField, hourField, dayField, dayField)
  .map(([m, h, d, w]) => `${m} ${h} ${d} * ${w}`);
const durations = fc.oneof(fc.integer({ min: 60, max: 7_200 }), fc.integer({ min: 60, max: 7 * 86_400 }));

test('a window is open if the schedule has a time within its duration before now', () => {
  fc.assert(
    fc.property(schedules, durations, fc.integer({ min: 0, max: 10 * DAY }), (schedule, seconds, offset) => {
      const windowMs = seconds * 1_000;
      const times = { schedule, windowMs };
      const now = NOON + offset;
      const window = windowAt(times, now);
      assert.ok(window && window.until > now);
      const isOpen = (instant: number) => (nextTime(schedule, instant - windowMs) ?? Infinity) <= instant;
      assert.equal(window.open, isOpen(now));
      // It stays the same until `until`, and changes then, unless it is one that stays open for more than a day.
      assert.equal(isOpen(window.until - 1), window.open);
      const middle = now + Math.floor((window.until - now) / 2);
      assert.equal(isOpen(middle), window.open);
      if (!window.open || window.until < now + DAY) assert.equal(isOpen(window.until), !window.open);
    }),
    { numRuns: 150 },
  );
});

test('repeated calls return the same window until it ends', () => {
  const every = { schedule: '* * * * *', windowMs: MINUTE };
  const daily = { schedule: '*/30 12-13 * * *', windowMs: HOUR };
  let until = 0;
  for (let now = NOON; now < NOON + 5 * DAY; now += 7 * HOUR) {
    const window = windowAt(every, now);
    assert.ok(window?.open && window.until >= now + DAY && window.until >= until);
    until = window.until;
  }
  for (const offset of [0, 1, MINUTE, 2 * HOUR, 2.5 * HOUR - 1]) {
    assert.deepEqual(windowAt(daily, NOON + offset), { open: true, until: NOON + 2.5 * HOUR });
  }
  assert.equal(windowAt(daily, NOON + 2.5 * HOUR)?.open, false);
  // The clock was set back.
  assert.deepEqual(windowAt(daily, NOON - HOUR), { open: false, until: NOON });
  assert.equal(windowAt({ ...daily, windowMs: MINUTE }, NOON)?.until, NOON + MINUTE);
});

test('at each `until`, the window changes between open and closed', () => {
  const times = { schedule: '0 */6 * * *', windowMs: HOUR };
  let now = NOON + 1;
  const states: boolean[] = [];
  for (let turn = 0; turn < 20; turn += 1) {
    const window = windowAt(times, now);
    assert.ok(window && window.until > now);
    states.push(window.open);
    now = window.until;
  }
  assert.deepEqual(
    states,
    states.map((_, turn) => turn % 2 === 0),
  );
  assert.equal(now, NOON + 10 * 6 * HOUR);
});
