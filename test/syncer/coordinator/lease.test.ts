import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { LEASE_MS } from '#proto/status/status.ts';
import { CoordinatorLease } from '../../../services/syncer/leadership/lease.ts';
import { quiet } from '../../support/bus.ts';

/** The entry of the lease on the bus, which ends as the test says. */
class Entry {
  holder: string | undefined;
  revision = 0;
  away = false;

  readonly bus = {
    get: async () => {
      if (this.away) throw new Error('the bus is away');
      return this.holder && { value: { holder: this.holder }, revision: this.revision };
    },
    swap: async (_: unknown, __: string, { holder }: { holder: string }, revision: number) => {
      if (this.away) throw new Error('the bus is away');
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
let told: boolean[];
let end: AbortController;
let kept: Promise<void>;
const clocks = { day: 0, running: 0 };

const settled = () => new Promise(setImmediate);

/** Time goes by, and a renewal is made. */
async function pass(ms: number): Promise<void> {
  clocks.day += ms;
  clocks.running += ms;
  await lease.renew();
}

beforeEach(async () => {
  entry = new Entry();
  told = [];
  end = new AbortController();
  const read = { day: () => clocks.day, running: () => clocks.running };
  lease = new CoordinatorLease(entry.bus, 'one', quiet, (held) => told.push(held), read);
  kept = lease.keep(end.signal);
  await settled();
});
afterEach(async () => {
  end.abort();
  await kept;
});

test('it is held while it can be renewed, and given back at the end', async () => {
  for (let i = 0; i < 10; i += 1) await pass(LEASE_MS / 3);
  assert.ok(lease.holds);
  assert.deepEqual(told, [true]);
  end.abort();
  await kept;
  assert.deepEqual([lease.holds, entry.holder, ...told], [false, undefined, true, false]);
});

for (const [name, still] of [
  ['the day was set back', { day: -60_000 }],
  ['the machine slept', { running: 0 }],
] as const) {
  test(`nothing counts on it shortly before it ends, nor after that, although ${name}`, async () => {
    clocks.day += still.day ?? LEASE_MS - 500;
    clocks.running += still.running ?? LEASE_MS - 500;
    assert.deepEqual([lease.holds, lease.ended, ...told], [false, false, true]);
    clocks.day += 1_000;
    clocks.running += still.running ?? 1_000;
    assert.ok(lease.ended);
  });
}

test('one that could not renew it for as long as it lasts has lost it, and gets it anew', async () => {
  await pass(LEASE_MS + 1);
  assert.deepEqual(told, [true, false, true]);
  assert.ok(lease.holds);
});

test('it ends by the clock where the bus is away', async () => {
  entry.away = true;
  for (let i = 0; i < 3; i += 1) await pass(LEASE_MS / 3);
  assert.ok(!lease.holds);
  await pass(LEASE_MS / 3);
  assert.deepEqual(told, [true, false]);
  entry.away = false;
  await pass(LEASE_MS / 3);
  assert.deepEqual(told, [true, false, true]);
});

test('what is doubted while it is asked for is asked for once more, at once', async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  let asks = 0;
  const { swap } = entry.bus;
  const slow = async (...args: Parameters<typeof swap>) => {
    asks += 1;
    asked.resolve();
    await answer.promise;
    return swap(...args);
  };
  Object.assign(entry.bus, { swap: slow });
  // So that whoever keeps it asks now.
  lease.invalidate();
  await asked.promise;
  lease.invalidate();
  answer.resolve();
  await settled();
  assert.equal(asks, 2);
});

test('in doubt it is lost until the bus has answered: to another one, or not at all', async () => {
  lease.invalidate();
  assert.deepEqual([lease.holds, ...told], [false, true, false]);
  await settled();
  assert.deepEqual([lease.holds, ...told], [true, true, false, true]);
  entry.holder = 'two';
  entry.revision += 1;
  lease.invalidate();
  await settled();
  assert.deepEqual([lease.holds, ...told], [false, true, false, true, false]);
});
