import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { LEASE_MS } from '#proto/status/status.ts';
import { STUCK_MS } from '../../../services/syncer/leadership/held-entries.ts';
import { CoordinatorLease } from '../../../services/syncer/leadership/lease.ts';
import { quiet } from '../../support/bus.ts';

/** The entry of the lease on the bus. The tests decide who holds it. */
class Entry {
  holder: string | undefined;
  revision = 0;
  unavailable = false;

  readonly bus = {
    get: async () => {
      if (this.unavailable) throw new Error('the bus is unavailable');
      return this.holder && { value: { holder: this.holder }, revision: this.revision };
    },
    swap: async (_: unknown, __: string, { holder }: { holder: string }, revision: number) => {
      if (this.unavailable) throw new Error('the bus is unavailable');
      if (revision !== (this.holder ? this.revision : 0)) return undefined;
      this.holder = holder;
      this.revision += 1;
      return this.revision;
    },
    remove: async () => {
      this.holder = undefined;
    },
  } as unknown as Bus;
}

let entry: Entry;
let lease: CoordinatorLease;
let changes: boolean[];
let end: AbortController;
let keeping: Promise<void>;
const clocks = { wall: 0, monotonic: 0 };

const settled = () => new Promise(setImmediate);

/** Advances both clocks, then renews the lease. */
async function pass(ms: number): Promise<void> {
  clocks.wall += ms;
  clocks.monotonic += ms;
  await lease.renew();
}

beforeEach(async () => {
  entry = new Entry();
  changes = [];
  end = new AbortController();
  const readClocks = { wall: () => clocks.wall, monotonic: () => clocks.monotonic };
  lease = new CoordinatorLease(entry.bus, 'one', quiet, (held) => changes.push(held), readClocks);
  keeping = lease.keep(end.signal);
  await settled();
});
afterEach(async () => {
  end.abort();
  await keeping;
});

test('a lease is held while it can be renewed, and released at the end', async () => {
  for (let i = 0; i < 10; i += 1) await pass(LEASE_MS / 3);
  assert.ok(lease.holds);
  assert.deepEqual(changes, [true]);
  end.abort();
  await keeping;
  assert.deepEqual([lease.holds, entry.holder, ...changes], [false, undefined, true, false]);
});

for (const [name, jump] of [
  ['the wall clock was set back', { wall: -60_000 }],
  ['the machine slept', { monotonic: 0 }],
] as const) {
  test(`a lease no longer counts as held shortly before it expires, nor afterwards, although ${name}`, async () => {
    clocks.wall += jump.wall ?? LEASE_MS - 500;
    clocks.monotonic += jump.monotonic ?? LEASE_MS - 500;
    assert.deepEqual([lease.holds, lease.ended, ...changes], [false, false, true]);
    clocks.wall += 1_000;
    clocks.monotonic += jump.monotonic ?? 1_000;
    assert.ok(lease.ended);
  });
}

test('a lease that was not renewed in time is lost, and acquired again', async () => {
  await pass(LEASE_MS + 1);
  assert.deepEqual(changes, [true, false, true]);
  assert.ok(lease.holds);
});

test('a lease expires by the clock while the bus is unavailable', async () => {
  entry.unavailable = true;
  for (let i = 0; i < 3; i += 1) await pass(LEASE_MS / 3);
  assert.ok(!lease.holds);
  await pass(LEASE_MS / 3);
  assert.deepEqual(changes, [true, false]);
  entry.unavailable = false;
  await pass(LEASE_MS / 3);
  assert.deepEqual(changes, [true, false, true]);
});

test('an entry that its holder no longer renews, and that the bus does not delete, is replaced', async () => {
  entry.holder = 'two';
  entry.revision += 1;
  await pass(0);
  assert.deepEqual(changes, [true, false]);
  // While its holder renews it, it stays.
  for (let i = 0; i < 10; i += 1) {
    entry.revision += 1;
    await pass(LEASE_MS / 3);
  }
  clocks.wall -= 56 * 365 * 24 * 3_600_000;
  for (let waited = 0; waited + LEASE_MS / 3 < STUCK_MS; waited += LEASE_MS / 3) await pass(LEASE_MS / 3);
  assert.deepEqual([entry.holder, lease.holds], ['two', false]);
  await pass(LEASE_MS / 3);
  assert.deepEqual([entry.holder, lease.holds, ...changes], ['one', true, true, false, true]);
});

test('an invalidation during a renewal causes another renewal at once', async () => {
  const requested = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  let requests = 0;
  const { swap } = entry.bus;
  const slow = async (...args: Parameters<typeof swap>) => {
    requests += 1;
    requested.resolve();
    await answer.promise;
    return swap(...args);
  };
  Object.assign(entry.bus, { swap: slow });
  // Causes a renewal now.
  lease.invalidate();
  await requested.promise;
  lease.invalidate();
  answer.resolve();
  await settled();
  assert.equal(requests, 2);
});

test('an invalidated lease is lost until the bus answers, and stays lost if another process holds it', async () => {
  lease.invalidate();
  assert.deepEqual([lease.holds, ...changes], [false, true, false]);
  await settled();
  assert.deepEqual([lease.holds, ...changes], [true, true, false, true]);
  entry.holder = 'two';
  entry.revision += 1;
  lease.invalidate();
  await settled();
  assert.deepEqual([lease.holds, ...changes], [false, true, false, true, false]);
});
