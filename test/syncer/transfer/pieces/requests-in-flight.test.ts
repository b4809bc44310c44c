import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestsInFlight } from '../../../../services/syncer/transfer/pieces/requests-in-flight.ts';

/** Nothing was measured, and all connections but those of the requests are free. */
const idle = { freeShare: 0.75 };

test('a silent request is aborted, an active one is not, and the next may be silent for longer', () => {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const { signal } = new AbortController();
  const silent = requests.begin(signal);
  const active = requests.begin(signal);
  now = 4_900;
  requests.abortLate(idle);
  active.onBytes();
  assert.equal(silent.isSuperseded, false);
  now = 5_000;
  requests.abortLate(idle);
  assert.deepEqual([silent.isSuperseded, active.isSuperseded], [true, false]);
  silent[Symbol.dispose]();
  active[Symbol.dispose]();
  const next = requests.begin(signal);
  now = 14_900;
  requests.abortLate(idle);
  assert.equal(next.isSuperseded, false);
  now = 15_000;
  requests.abortLate(idle);
  assert.equal(next.isSuperseded, true);
});

test('on a link with slow answers, requests may be silent for longer', () => {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const request = requests.begin(new AbortController().signal);
  now = 7_000;
  requests.abortLate({ ...idle, firstByteMs: 2_000 });
  assert.equal(request.isSuperseded, false);
  now = 8_000;
  requests.abortLate({ ...idle, firstByteMs: 2_000 });
  assert.equal(request.isSuperseded, true);
});

test('requests without an answer are aborted twice at most; one that began to answer is, as before', () => {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const { signal } = new AbortController();
  for (let aborted = 0; aborted < 2; aborted += 1) {
    using request = requests.begin(signal);
    now += 60_000;
    requests.abortLate(idle);
    assert.equal(request.isSuperseded, true);
  }
  const slow = requests.begin(signal);
  const broken = requests.begin(signal);
  broken.onBytes();
  now += 600_000;
  requests.abortLate(idle);
  assert.deepEqual([slow.isSuperseded, broken.isSuperseded], [false, true]);
});

/** A link of 100 kB/s with a round trip of 100 ms. */
const link = { roundTripMs: 100, throughput: 100_000, freeShare: 0.75 };
const SECOND = 1_000;

/** A request for 100 kB whose answer brings these bytes in each second. @returns after which second it was aborted */
function secondOfAbort(bytesPerSecond: number[], conditions = link, expected = 100_000) {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const request = requests.begin(new AbortController().signal);
  request.expect(expected);
  request.onBytes();
  for (const [at, bytes] of bytesPerSecond.entries()) {
    request.onBytes(bytes);
    now += SECOND;
    requests.measure();
    requests.abortLate(conditions);
    if (request.isSuperseded) return at + 1;
  }
  return undefined;
}

test('a request that is slower than the free connections is aborted once its rate is known', () => {
  assert.equal(secondOfAbort([2_000, 2_000, 2_000, 2_000, 2_000, 2_000]), 4);
  const slow = Array(4).fill(20_000);
  assert.equal(secondOfAbort(slow, link, 150_000), 4);
  // Fewer free connections would need longer than half the time that it still takes.
  assert.equal(secondOfAbort(slow, { ...link, freeShare: 0.25 }, 150_000), undefined);
});

test('a request that becomes faster, or whose rest is short, is not aborted', () => {
  assert.equal(secondOfAbort([500, 1_000, 2_000, 4_000, 8_000, 16_000]), undefined);
  assert.equal(secondOfAbort(Array(4).fill(2_000), link, 10_000), undefined);
});

test('a request is not slow while the other connections are in use, or nothing is known of the answer', () => {
  const slow = Array(4).fill(2_000);
  assert.equal(secondOfAbort(slow, { ...link, freeShare: 0 }), undefined);
  assert.equal(secondOfAbort(slow, { ...link, throughput: 0 }), undefined);
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const arriving = requests.begin(new AbortController().signal);
  for (now = SECOND; now < 10 * SECOND; now += SECOND) {
    arriving.onBytes(1);
    requests.measure();
    requests.abortLate(link);
  }
  assert.equal(arriving.isSuperseded, false);
});

test('requests that share the link are not slow, however much one of them has left', () => {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const [large, small] = [1_000_000, 100_000].map((bytes) => {
    const request = requests.begin(new AbortController().signal);
    request.expect(bytes);
    return request;
  });
  for (let second = 0; second < 6; second += 1) {
    large?.onBytes(15_000);
    small?.onBytes(15_000);
    now += SECOND;
    requests.measure();
    requests.abortLate(link);
  }
  assert.deepEqual([large?.isSuperseded, small?.isSuperseded], [false, false]);
});

test('after each slow request, the next one may be slower', () => {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const lasted: number[] = [];
  for (let aborted = 0; aborted < 3; aborted += 1) {
    using request = requests.begin(new AbortController().signal);
    request.expect(100_000);
    let bytes = 0;
    while (!request.isSuperseded && bytes < 100_000) {
      request.onBytes(12_000);
      bytes += 12_000;
      now += SECOND;
      requests.measure();
      requests.abortLate(link);
    }
    lasted.push(bytes);
  }
  assert.deepEqual(lasted, [48_000, 48_000, 108_000]);
});
