import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { savingsIn } from '#proto/overview/savings.ts';
import { SAVINGS_KEY, type Savings, savedTotals } from '#proto/status/status.ts';
import { SavedTotals } from '../../../services/syncer/counters/saved-totals.ts';
import { TestBus } from '../../support/bus.ts';

let server: TestBus;
let bus: Bus;
before(async () => {
  server = await TestBus.start();
  bus = await server.connect('syncer');
});
after(() => server[Symbol.asyncDispose]());

const savings = (since: number, saved: number, crossed: number, fields: Partial<Savings> = {}): Savings => ({
  ...{ since, saved, crossed, transfers: saved > 0 ? 1 : 0, mismatched: 0, cpuMs: saved > 0 ? 5 : 0 },
  ...fields,
});
const kept = async () => (await bus.get(savedTotals, SAVINGS_KEY))?.value;

test('totals begin with the first saved byte, and go on in later processes and in several at a time', async () => {
  const first = new SavedTotals(bus);
  await first.add(savings(1_000, 0, 700));
  assert.equal(await kept(), undefined);
  await first.add(savings(1_000, 90, 710));
  await first.add(savings(1_000, 90, 710));
  assert.deepEqual(await kept(), savings(1_000, 90, 710));
  // One that saves nothing adds what crosses.
  const [second, third] = [new SavedTotals(bus), new SavedTotals(bus)];
  await Promise.all([
    second.add(savings(5_000, 0, 40)),
    third.add(savings(6_000, 10, 50, { mismatchedAt: 6_500 })),
  ]);
  await second.add(savings(5_000, 0, 60));
  const total = savings(1_000, 100, 820, { transfers: 2, cpuMs: 10 });
  assert.deepEqual(await kept(), total);
  const running = { ...savings(6_000, 10, 50), mismatchedAt: 6_500 };
  const syncer = { instance: 's', host: 'h', pid: 1, coordinates: true, rate: { down: 0, up: 0 } };
  const syncers = [{ ...syncer, count: 0, transfers: [], savings: running }];
  assert.deepEqual(savingsIn(await kept(), syncers), { ...total, mismatchedAt: 6_500 });
  assert.deepEqual(savingsIn(undefined, syncers), running);
});

test('totals that were lost with the store of the bus begin again with what runs', async () => {
  await bus.remove(savedTotals, SAVINGS_KEY);
  const totals = new SavedTotals(bus);
  await totals.add(savings(1_000, 90, 710));
  await bus.remove(savedTotals, SAVINGS_KEY);
  await totals.add(savings(1_000, 95, 720));
  assert.deepEqual(await kept(), savings(1_000, 95, 720));
});

test('what could not be added is added later', async () => {
  await bus.remove(savedTotals, SAVINGS_KEY);
  let fails = true;
  const totals = new SavedTotals({
    get: bus.get.bind(bus),
    swap: (...query) => (fails ? Promise.reject(new Error('no bus')) : bus.swap(...query)),
  } as Bus);
  await assert.rejects(totals.add(savings(1_000, 90, 710)), /no bus/);
  fails = false;
  await totals.add(savings(1_000, 90, 710));
  assert.deepEqual(await kept(), savings(1_000, 90, 710));
});

test('what is reported while totals are written is added, too', async () => {
  await bus.remove(savedTotals, SAVINGS_KEY);
  const totals = new SavedTotals(bus);
  const adding: Promise<void>[] = [];
  for (let saved = 1; saved <= 200; saved += 1) {
    adding.push(totals.add(savings(1_000, saved, 10)));
    // Between any two steps of the writer.
    for (let turn = 0; turn < saved % 7; turn += 1) await (turn % 3 === 0 ? bus.flush() : null);
  }
  await Promise.all(adding);
  assert.equal((await kept())?.saved, 200);
});
