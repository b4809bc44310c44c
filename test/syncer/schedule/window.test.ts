import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isContinuous, nextTime, windowAt } from '../../../services/syncer/schedule/window.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const at = (text: string) => Date.parse(`${text}Z`);
/** A Tuesday. */
const NOON = at('2030-01-01T12:00');

test('open from each time of the schedule on, up to and without the end', () => {
  const times = { schedule: '0 2 * * *', windowMs: HOUR };
  const opens = at('2030-01-02T02:00');
  assert.deepEqual(windowAt(times, NOON), { open: false, until: opens });
  assert.deepEqual(windowAt(times, opens - 1), { open: false, until: opens });
  for (const now of [opens, opens + 1, opens + HOUR - 1]) {
    assert.deepEqual(windowAt(times, now), { open: true, until: opens + HOUR });
  }
  assert.deepEqual(windowAt(times, opens + HOUR), { open: false, until: opens + DAY });
});

test('windows that overlap or touch are one, and the last of them ends it', () => {
  const until = (schedule: string, windowMs: number) => windowAt({ schedule, windowMs }, NOON)?.until;
  assert.equal(until('*/30 12-13 * * *', HOUR), at('2030-01-01T14:30'));
  assert.equal(until('*/15 12 * * *', 15 * MINUTE), at('2030-01-01T13:00'));
  assert.equal(until('*/15 12 * * *', 14 * MINUTE), at('2030-01-01T12:14'));
  // Opened two days ago.
  assert.equal(until('0 0 * * 0', 3 * DAY), at('2030-01-02T00:00'));
});

test('a window that never closes is open for a day at least, and quickly told', () => {
  for (const [schedule, windowMs] of [
    ['* * * * *', MINUTE],
    ['* * * * *', HOUR],
    ['* * * * *', 7 * DAY],
    ['0 * * * *', HOUR],
    ['0 0 * * 1', 7 * DAY],
  ] as const) {
    const began = process.cpuUsage();
    const found = windowAt({ schedule, windowMs }, NOON + 123);
    // Of processor time, in µs: minute by minute it would take much longer.
    assert.ok(process.cpuUsage(began).user < 2_000_000, schedule);
    assert.equal(found?.open, true);
    assert.ok(found.until >= NOON + DAY && found.until <= NOON + 10 * DAY, schedule);
  }
});

test('without a window there is none, and every minute without one is the whole time', () => {
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
const lengths = fc.oneof(fc.integer({ min: 60, max: 7_200 }), fc.integer({ min: 60, max: 7 * 86_400 }));

test('minute by minute, it is open where a time of the schedule was within its length', () => {
  fc.assert(
    fc.property(schedules, lengths, fc.integer({ min: 0, max: 10 * DAY }), (schedule, seconds, offset) => {
      const windowMs = seconds * 1_000;
      const times = { schedule, windowMs };
      const now = NOON + offset;
      const found = windowAt(times, now);
      assert.ok(found && found.until > now);
      const isOpen = (instant: number) => (nextTime(schedule, instant - windowMs) ?? Infinity) <= instant;
      assert.equal(found.open, isOpen(now));
      // It stays so until then, and changes then, if it is not one of those that stay open for long.
      assert.equal(isOpen(found.until - 1), found.open);
      const middle = now + Math.floor((found.until - now) / 2);
      assert.equal(isOpen(middle), found.open);
      if (!found.open || found.until < now + DAY) assert.equal(isOpen(found.until), !found.open);
    }),
    { numRuns: 150 },
  );
});

test('asked again and again, it tells the same until that has come', () => {
  const every = { schedule: '* * * * *', windowMs: MINUTE };
  const daily = { schedule: '*/30 12-13 * * *', windowMs: HOUR };
  let until = 0;
  for (let now = NOON; now < NOON + 5 * DAY; now += 7 * HOUR) {
    const found = windowAt(every, now);
    assert.ok(found?.open && found.until >= now + DAY && found.until >= until);
    until = found.until;
  }
  for (const offset of [0, 1, MINUTE, 2 * HOUR, 2.5 * HOUR - 1]) {
    assert.deepEqual(windowAt(daily, NOON + offset), { open: true, until: NOON + 2.5 * HOUR });
  }
  assert.equal(windowAt(daily, NOON + 2.5 * HOUR)?.open, false);
  // A clock that was set back.
  assert.deepEqual(windowAt(daily, NOON - HOUR), { open: false, until: NOON });
  assert.equal(windowAt({ ...daily, windowMs: MINUTE }, NOON)?.until, NOON + MINUTE);
});

test('whoever wakes at each change sees open and closed in turn', () => {
  const times = { schedule: '0 */6 * * *', windowMs: HOUR };
  let now = NOON + 1;
  const seen: boolean[] = [];
  for (let turn = 0; turn < 20; turn += 1) {
    const found = windowAt(times, now);
    assert.ok(found && found.until > now);
    seen.push(found.open);
    now = found.until;
  }
  assert.deepEqual(
    seen,
    seen.map((_, turn) => turn % 2 === 0),
  );
  assert.equal(now, NOON + 10 * 6 * HOUR);
});
