import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crossedAt } from '#proto/schedule/estimate.ts';

/** When an amount of bytes will have crossed the link. */

const now = Date.UTC(2030, 0, 1, 12, 0);
const HOUR_MS = 3_600_000;
const always = { schedule: '* * * * *' };
/** Two hours from 02:00. */
const nightly = { schedule: '0 2 * * *', windowMs: 2 * HOUR_MS };
const at = (hour: number, minute = 0, day = 1) => Date.UTC(2030, 0, day, hour, minute);

test('without windows and limits, the measured rate decides', () => {
  assert.equal(crossedAt(1_000, { times: always, limits: [], rate: 100 }, now), now + 10_000);
  assert.equal(crossedAt(0, { times: always, limits: [], rate: 100 }, now), now);
});

test('the limit decides if it is lower, or if no rate is known', () => {
  const limits = [{ limit: 50 }];
  assert.equal(crossedAt(1_000, { times: always, limits, rate: 100 }, now), now + 20_000);
  assert.equal(crossedAt(1_000, { times: always, limits, rate: 10 }, now), now + 100_000);
  assert.equal(crossedAt(1_000, { times: always, limits }, now), now + 20_000);
});

test('a limit by time of day applies in its period', () => {
  // 100 bytes/s until 13:00, unlimited after: the rest at the measured rate.
  const limits = [{ from: 12 * 60, to: 13 * 60, limit: 100 }];
  assert.equal(crossedAt(400_000, { times: always, limits, rate: 1_000 }, now), at(13) + 40_000);
});

test('only open windows count', () => {
  assert.equal(crossedAt(1_000, { times: nightly, limits: [], rate: 1 }, now), at(2, 0, 2) + 1_000_000);
  // A window has 7,200 s: the rest has to wait for the next one.
  assert.equal(crossedAt(9_000, { times: nightly, limits: [], rate: 1 }, now), at(2, 30, 3));
  assert.equal(crossedAt(3_600, { times: nightly, limits: [], rate: 1 }, at(2, 30)), at(3, 30));
});

test('nothing is estimated without any rate, and beyond 60 days', () => {
  assert.equal(crossedAt(1, { times: always, limits: [] }, now), undefined);
  assert.equal(crossedAt(1, { times: nightly, limits: [] }, now), undefined);
  assert.equal(crossedAt(1e9, { times: always, limits: [], rate: 1 }, now), undefined);
  assert.equal(crossedAt(1e9, { times: nightly, limits: [], rate: 1 }, now), undefined);
});
