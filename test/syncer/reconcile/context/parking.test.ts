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

/** Storage's part of it, in memory. */
function shelf(...parked: Parked[]): { bus: Bus; kept: Map<string, Parked> } {
  const kept = new Map(parked.map((one) => [one.reference, one]));
  const call = async (request: unknown, query: Parked) => {
    if (request === listParked) return { parked: [...kept.values()], more: false };
    if (request === park) kept.set(query.reference, query);
    if (request === unpark) kept.delete(query.reference);
    return {};
  };
  return { bus: { call } as unknown as Bus, kept };
}
const { signal } = new AbortController();

test('the time between attempts doubles from a minute to an hour, with jitter', () => {
  const minutes = (attempts: number) => retryAt(attempts, 0, 1) / MINUTE;
  assert.deepEqual([1, 2, 3, 6, 7, 8, 1_000].map(minutes), [1, 2, 4, 32, 60, 60, 60]);
  assert.equal(retryAt(1, 0, 0), 0.5 * MINUTE);
});

test('a refused change waits until its time, and longer after the next refusal', async () => {
  const { bus, kept } = shelf();
  const parking = await Parking.load(bus, signal, false);
  const first = await parking.refused(change, refused);
  assert.ok(parking.waiting(change));
  assert.equal(parking.waiting(change, first.retry), undefined);
  const second = await parking.refused(change, refused);
  assert.deepEqual([second.attempts, second.since], [2, first.since]);
  assert.deepEqual(kept.get('v1'), second);
});

test('another change of the tag does not wait, and begins anew', async () => {
  const { bus } = shelf();
  const parking = await Parking.load(bus, signal, false);
  await parking.refused(change, refused);
  await parking.refused(change, refused);
  for (const digest of [B, undefined]) assert.equal(parking.waiting({ ...change, digest }), undefined);
  assert.equal((await parking.refused({ ...change, digest: B }, refused)).attempts, 1);
});

test('nothing waits where everything is to be tried; what succeeded is forgotten', async () => {
  const { bus, kept } = shelf();
  await (await Parking.load(bus, signal, false)).refused(change, refused);
  const parking = await Parking.load(bus, signal, true);
  assert.equal(parking.waiting(change), undefined);
  assert.equal((await parking.refused(change, refused)).attempts, 2);
  await parking.unpark(change);
  assert.equal(kept.size, 0);
});

test('a refusal is what the parent understood and does not take; all else is tried again by the next pass', () => {
  assert.equal(isRefusal(refused), true);
  for (const code of ['parent-unreachable', 'busy', 'conflict', 'internal'] as const) {
    assert.equal(isRefusal(new Fault(code, '')), false);
  }
});
