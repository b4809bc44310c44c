import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs, jittered, requestedWaitMs } from '#proto/async/backoff.ts';

const retry = { firstMs: 100, maxMs: 1_000 };

test('the pause doubles from the first to the longest, however many failures there are', () => {
  const pauses = [0, 1, 2, 3, 4, 5, 1_000, 1e9].map((failures) => backoffMs(failures, retry, 1));
  assert.deepEqual(pauses, [100, 100, 200, 400, 800, 1_000, 1_000, 1_000]);
});

test('of a pause, a random half to all is waited', () => {
  assert.equal(backoffMs(3, retry, 0), 200);
  for (let tries = 0; tries < 100; tries += 1) {
    const ms = backoffMs(3, retry);
    assert.ok(ms >= 200 && ms < 400, `${ms}`);
  }
});

test('an interval is a quarter shorter to a quarter longer', () => {
  assert.deepEqual(
    [0, 0.5, 1].map((random) => jittered(1_000, random)),
    [750, 1_000, 1_250],
  );
});

test('a time that was asked for is never cut, and those that were told the same come one after another', () => {
  assert.deepEqual(
    [0, 1].map((random) => requestedWaitMs(4_000, random)),
    [4_000, 5_000],
  );
  assert.equal(requestedWaitMs(3_600_000, 1), 3_605_000);
});
