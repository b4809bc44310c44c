import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { listParked, type Parked, park, unpark } from '#proto/sync/outgoing.ts';
import { isRefusal, Parking, retryAt } from '../../../../services/syncer/reconcile/context/parking.ts';

const MINUTE = 60_000;
const [A, B] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}`) as [string, string];
const refused = new Fault('parent-refused', 'PUT: the parent answered 403', { detail: { status: 403 } });
const change = { repository: 'app', reference: 'v1', digest: A };

/** Stand-in for storage: parked changes in memory. */
function memoryStorage(...parked: Parked[]): { bus: Bus; stored: Map<string, Parked> } {
  const stored = new Map(parked.map((one) => [one.reference, one]));
  const call = async (request: unknown, query: Parked) => {
    if (request === listParked) return { parked: [...stored.values()], more: false };
    if (request === park) stored.set(query.reference, query);
    if (request === unpark) stored.delete(query.reference);
    return {};
  };
  return { bus: { call } as unknown as Bus, stored };
}
const { signal } = new AbortController();

test('the backoff of a refused change doubles from one minute to one hour, with jitter', () => {
  const minutes = (attempts: number) => retryAt(attempts, 0, 1) / MINUTE;
  assert.deepEqual([1, 2, 3, 6, 7, 8, 1_000].map(minutes), [1, 2, 4, 32, 60, 60, 60]);
  assert.equal(retryAt(1, 0, 0), 0.5 * MINUTE);
});

test('a refused change waits until its retry is due, and longer after the next refusal', async () => {
  const { bus, stored } = memoryStorage();
  const parking = await Parking.load(bus, signal);
  const first = await parking.refused(change, refused);
  assert.ok(parking.waiting(change));
  assert.equal(parking.waiting(change, first.retry), undefined);
  const second = await parking.refused(change, refused);
  assert.deepEqual([second.attempts, second.since], [2, first.since]);
  assert.deepEqual(stored.get('v1'), second);
});

test('another change of the tag does not wait, and starts with its first attempt', async () => {
  const { bus } = memoryStorage();
  const parking = await Parking.load(bus, signal);
  await parking.refused(change, refused);
  await parking.refused(change, refused);
  for (const digest of [B, undefined]) assert.equal(parking.waiting({ ...change, digest }), undefined);
  assert.equal((await parking.refused({ ...change, digest: B }, refused)).attempts, 1);
});

test('a pass that retries everything waits for no change, and a successful change is unparked', async () => {
  const { bus, stored } = memoryStorage();
  await (await Parking.load(bus, signal)).refused(change, refused);
  const parking = await Parking.load(bus, signal, 'all');
  assert.equal(parking.waiting(change), undefined);
  assert.equal((await parking.refused(change, refused)).attempts, 2);
  await parking.unpark(change);
  assert.equal(stored.size, 0);
});

test('only parent-refused counts as a refusal; after other faults the next pass tries again', () => {
  assert.equal(isRefusal(refused), true);
  for (const code of ['parent-unreachable', 'busy', 'conflict', 'internal'] as const) {
    assert.equal(isRefusal(new Fault(code, '')), false);
  }
});
