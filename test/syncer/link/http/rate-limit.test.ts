import assert from 'node:assert/strict';
import { test } from 'node:test';
import { remainingIn, requestedHold } from '../../../../services/syncer/link/http/rate-limit.ts';

const NOW = Date.UTC(2026, 10, 29, 12);
const SOON = NOW / 1_000 + 90;
const date = 'Sun, 29 Nov 2026 12:00:00 GMT';

/** Headers, the wait that they request, in s, and the requests that remain. */
const HEADERS: [
  headers: Record<string, string>,
  seconds: number | undefined,
  remaining: number | undefined,
][] = [
  [{}, undefined, undefined],
  [{ 'retry-after': '7', 'ratelimit-reset': '90' }, 7, undefined],
  [{ 'retry-after': 'Sun, 29 Nov 2026 12:01:30 GMT' }, 90, undefined],
  [{ 'ratelimit-reset': '90' }, 90, undefined],
  [{ 'x-ratelimit-reset': String(SOON) }, 90, undefined],
  [{ 'x-ratelimit-reset': String(SOON * 1_000) }, 90, undefined],
  [{ 'x-ratelimit-reset': String(SOON - 1_000) }, 0, undefined],
  [{ 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' }, undefined, 76],
  [{ 'ratelimit-remaining': '0;w=21600' }, undefined, 0],
  [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '30' }, 30, 0],
  [{ ratelimit: '"default";r=0;t=30' }, 30, 0],
  [{ ratelimit: 'limit=100, remaining=5, reset=30' }, 30, 5],
  [{ 'ratelimit-reset': 'soon', 'ratelimit-remaining': '-1', ratelimit: 'r=x;t' }, undefined, undefined],
  [{ 'ratelimit-reset': '9'.repeat(400) }, undefined, undefined],
];

test('the limits of requests are read from the headers of each convention', () => {
  for (const [headers, seconds, remaining] of HEADERS) {
    const wait = requestedHold(headers, NOW);
    const expected = [seconds === undefined ? undefined : seconds * 1_000, remaining];
    assert.deepEqual([wait, remainingIn(headers)], expected, JSON.stringify(headers));
  }
});

test('a point in time is relative to the clock of the parent', () => {
  const wrong = 0;
  assert.equal(requestedHold({ date, 'x-ratelimit-reset': String(SOON) }, wrong), 90_000);
  assert.equal(requestedHold({ date, 'retry-after': 'Sun, 29 Nov 2026 12:01:30 GMT' }, wrong), 90_000);
});
