import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestsInFlight } from '../../../../services/syncer/transfer/pieces/requests-in-flight.ts';

test('a silent request is aborted, an active one is not, and the next may be silent for longer', () => {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const { signal } = new AbortController();
  const silent = requests.begin(signal);
  const active = requests.begin(signal);
  now = 4_900;
  requests.abortStalled();
  active.onBytes();
  assert.equal(silent.isSuperseded, false);
  now = 5_000;
  requests.abortStalled();
  assert.deepEqual([silent.isSuperseded, active.isSuperseded], [true, false]);
  silent[Symbol.dispose]();
  active[Symbol.dispose]();
  const next = requests.begin(signal);
  now = 14_900;
  requests.abortStalled();
  assert.equal(next.isSuperseded, false);
  now = 15_000;
  requests.abortStalled();
  assert.equal(next.isSuperseded, true);
});

test('on a link with slow answers, requests may be silent for longer', () => {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const request = requests.begin(new AbortController().signal);
  now = 7_000;
  requests.abortStalled(2_000);
  assert.equal(request.isSuperseded, false);
  now = 8_000;
  requests.abortStalled(2_000);
  assert.equal(request.isSuperseded, true);
});

test('requests without an answer are aborted twice at most; one that began to answer is, as before', () => {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const { signal } = new AbortController();
  for (let aborted = 0; aborted < 2; aborted += 1) {
    using request = requests.begin(signal);
    now += 60_000;
    requests.abortStalled();
    assert.equal(request.isSuperseded, true);
  }
  const slow = requests.begin(signal);
  const broken = requests.begin(signal);
  broken.onBytes();
  now += 600_000;
  requests.abortStalled();
  assert.deepEqual([slow.isSuperseded, broken.isSuperseded], [false, true]);
});
