import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs, jittered, requestedWaitMs } from '#proto/async/backoff.ts';

const retry = { firstMs: 100, maxMs: 1_000 };

test('the backoff doubles from the first pause up to the maximum, for any number of failures', () => {
  const pauses = [0, 1, 2, 3, 4, 5, 1_000, 1e9].map((failures) => backoffMs(failures, retry, 1));
  assert.deepEqual(pauses, [100, 100, 200, 400, 800, 1_000, 1_000, 1_000]);
});

test('a backoff waits a random part of the pause, from half of it to all', () => {
  assert.equal(backoffMs(3, retry, 0), 200);
  for (let tries = 0; tries < 100; tries += 1) {
    const ms = backoffMs(3, retry);
    assert.ok(ms >= 200 && ms < 400, `${ms}`);
  }
});

test('a jittered interval is up to a quarter shorter or longer', () => {
  assert.deepEqual(
    [0, 0.5, 1].map((random) => jittered(1_000, random)),
    [750, 1_000, 1_250],
  );
});

test('a requested wait is never shortened, and is lengthened randomly, which spreads the retries', () => {
  assert.deepEqual(
    [0, 1].map((random) => requestedWaitMs(4_000, random)),
    [4_000, 5_000],
  );
  assert.equal(requestedWaitMs(3_600_000, 1), 3_605_000);
});
