import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CallOptions } from '#proto/bus/calls.ts';
import { storeBy } from '#proto/bus/store-client.ts';
import { Fault } from '#proto/contract/fault.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { LEASE_MS, lease } from '#proto/status/status.ts';

/** The queue of a syncer, whose requests fail. */
const queueFailing = (error: Error) => storeBy(() => Promise.reject(error), 0).queue('down');

test('a request for a job that is unanswered because storage restarts returns none, so that the worker asks again', async () => {
  const queue = queueFailing(new Fault('unavailable', 'no answer', { detail: { restarted: true } }));
  assert.equal(await queue.take(), undefined);
});

test('a request for a job that storage does not answer fails', async () => {
  const unanswered = new Fault('unavailable', 'no answer');
  await assert.rejects(queueFailing(unanswered).take(), unanswered);
});

test('other requests of a queue fail also while storage restarts', async () => {
  const queue = queueFailing(new Fault('unavailable', 'no answer', { detail: { restarted: true } }));
  await assert.rejects(queue.submit(new Uint8Array()));
  await assert.rejects(queue.settle('token', { kind: 'done' }));
});

test('a request about a lease fails before the lease ends; other states have the usual time', async () => {
  const silences: (number | undefined)[] = [];
  const store = storeBy(async (_contract, _query, options?: CallOptions) => {
    silences.push(options?.silenceMs);
    return {} as never;
  }, 0);
  await store.bucket(lease.bucket).get('coordinator');
  await store.bucket(configuration.bucket).get(CONFIGURATION_KEY);
  const [ofLease = Number.POSITIVE_INFINITY, ofConfiguration] = silences;
  assert.ok(ofLease < LEASE_MS);
  assert.equal(ofConfiguration, undefined);
});

test('a process searches four pages of the history at a time; pages that wait for events are not counted', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked = 0;
  const { archive } = storeBy(async () => {
    asked += 1;
    await promise;
    return { events: [] } as never;
  }, 0);
  const read = (waitMs: number) =>
    archive.read({ from: { sequence: 1 }, subject: undefined, limit: 1, waitMs });
  const searches = Array.from({ length: 17 }, () => read(0));
  await new Promise(setImmediate);
  assert.equal(asked, 4);
  const waits = [read(1_000), read(1_000)];
  await new Promise(setImmediate);
  assert.equal(asked, 6);
  resolve();
  await Promise.all([...searches, ...waits]);
  assert.equal(asked, 19);
});
