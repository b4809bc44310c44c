import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestsInFlight } from '../../../services/syncer/transfer/requests-in-flight.ts';

test('one that is silent is ended, one that is heard is not; the next may be silent for longer', () => {
  let now = 0;
  const requests = new RequestsInFlight(() => now);
  const { signal } = new AbortController();
  const silent = requests.begin(signal);
  const heard = requests.begin(signal);
  now = 4_900;
  requests.abortStalled();
  heard.onBytes();
  assert.equal(silent.isSuperseded, false);
  now = 5_000;
  requests.abortStalled();
  assert.deepEqual([silent.isSuperseded, heard.isSuperseded], [true, false]);
  silent[Symbol.dispose]();
  heard[Symbol.dispose]();
  const next = requests.begin(signal);
  now = 14_900;
  requests.abortStalled();
  assert.equal(next.isSuperseded, false);
  now = 15_000;
  requests.abortStalled();
  assert.equal(next.isSuperseded, true);
});

test('on a link that answers slowly all may be silent for longer', () => {
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
