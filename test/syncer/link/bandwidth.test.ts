import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type GrantClock, Grants } from '../../../services/syncer/link/bandwidth/grants.ts';
import { type Limits, limitAt } from '../../../services/syncer/link/bandwidth/limit.ts';

const at = (hour: number, minute = 0, day = 5) => Date.UTC(2026, 0, day, hour, minute);

/** Time that passes only where somebody waits for it. */
class FakeClock implements GrantClock {
  #now = at(12);
  #timers = new Set<{ at: number; call: () => void }>();
  now = () => this.#now;
  after = (ms: number, call: () => void) => {
    const timer = { at: this.#now + ms, call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      // What was granted asks again before time goes on.
      await new Promise((resolve) => setImmediate(resolve));
      const [next] = [...this.#timers].sort((a, b) => a.at - b.at);
      if (!next || next.at > end) break;
      this.#timers.delete(next);
      this.#now = next.at;
      next.call();
    }
    this.#now = end;
  }
}

test('which limit holds, and until when', () => {
  const limits: Limits = [
    { from: 22 * 60, to: 6 * 60, limit: 1_000 },
    { from: 8 * 60, to: 12 * 60, limit: 50 },
    { limit: 100 },
  ];
  assert.deepEqual(limitAt(limits, at(23)), { rate: 1_000, until: at(6, 0, 6) });
  assert.deepEqual(limitAt(limits, at(5, 59)), { rate: 1_000, until: at(6) });
  assert.deepEqual(limitAt(limits, at(6)), { rate: 100, until: at(8) });
  assert.deepEqual(limitAt(limits, at(8)), { rate: 50, until: at(12) });
  assert.deepEqual(limitAt([], at(8)), { rate: undefined, until: Number.POSITIVE_INFINITY });
  assert.deepEqual(limitAt([{ limit: 7 }], at(8)), { rate: 7, until: Number.POSITIVE_INFINITY });
  assert.deepEqual(limitAt([{ from: 600, limit: 7 }], at(9)), { rate: undefined, until: at(10) });
  assert.deepEqual(limitAt([{ from: 600, limit: 7 }], at(10)), { rate: 7, until: at(0, 0, 6) });
});

test('with somebody always asking, every 10 s have the limit within 5 %, whoever asks for how much', async () => {
  const asker = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    bytes: fc.integer({ min: 2_000, max: 25_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(asker, { minLength: 1, maxLength: 8 }), async (askers) => {
      const rate = 100_000;
      const clock = new FakeClock();
      const granted: { at: number; bytes: number }[] = [];
      const grants = new Grants(() => ({ rate, until: Number.POSITIVE_INFINITY }), clock);
      const ends = askers.map(async ({ key, bytes }) => {
        for (;;) {
          await grants.take('down', key, bytes);
          granted.push({ at: clock.now(), bytes });
        }
      });
      for (const end of ends) end.catch(() => {});
      await clock.pass(25_000);
      grants.end(new Error('over'));
      for (const from of [0, 3_333, 7_000, 15_000].map((ms) => at(12) + ms)) {
        const window = granted.filter((one) => one.at >= from && one.at < from + 10_000);
        const bytes = window.reduce((sum, one) => sum + one.bytes, 0);
        assert.ok(Math.abs(bytes / (10 * rate) - 1) <= 0.05, `${bytes} bytes in 10 s at ${rate}`);
      }
    }),
    { numRuns: 25 },
  );
});

test('syncers take turns, however much one asks; one of them, in order', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 1_000, until: Number.POSITIVE_INFINITY }), clock);
  const order: string[] = [];
  const ask = (key: string, name: string) =>
    void grants.take('down', key, 1_000).then(() => order.push(name));
  for (const name of ['a1', 'a2', 'a3', 'a4']) ask('a', name);
  for (const name of ['b1', 'b2']) ask('b', name);
  await clock.pass(10_000);
  assert.deepEqual(order, ['a1', 'b1', 'a2', 'b2', 'a3', 'a4']);
});

test('turns are fair by bytes, also for one that asks for little at a time', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 100_000, until: Number.POSITIVE_INFINITY }), clock);
  const granted = new Map<string, number>();
  const keep = async (key: string, bytes: number) => {
    for (;;) {
      await grants.take('down', key, bytes);
      granted.set(key, (granted.get(key) ?? 0) + bytes);
    }
  };
  for (const asking of [keep('a', 25_000), keep('a', 25_000), keep('b', 2_000)]) asking.catch(() => {});
  await clock.pass(20_000);
  grants.end(new Error('over'));
  assert.ok(Math.abs(granted.get('a')! - granted.get('b')!) <= 50_000, JSON.stringify([...granted]));
});

test('each direction has half, however many syncers ask in one of them', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 100_000, until: Number.POSITIVE_INFINITY }), clock);
  const granted = { down: 0, up: 0 };
  const keep = async (direction: 'down' | 'up', by: string) => {
    for (;;) {
      await grants.take(direction, by, 25_000);
      granted[direction] += 25_000;
    }
  };
  for (const asking of [keep('down', 'a'), ...['a', 'b', 'c'].map((by) => keep('up', by))]) {
    asking.catch(() => {});
  }
  await clock.pass(20_000);
  grants.end(new Error('over'));
  assert.ok(Math.abs(granted.down - granted.up) <= 50_000, JSON.stringify(granted));
});

test('a direction that let turns pass gets no more than half afterwards', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 1_000, until: Number.POSITIVE_INFINITY }), clock);
  const order: string[] = [];
  const ask = (direction: 'down' | 'up') =>
    void grants.take(direction, 'a', 1_000).then(() => order.push(direction));
  ask('up');
  await clock.pass(5_000);
  for (let count = 0; count < 6; count += 1) ask('down');
  await clock.pass(3_000);
  for (let count = 0; count < 3; count += 1) ask('up');
  await clock.pass(20_000);
  assert.deepEqual(order.slice(0, 4), ['up', 'down', 'down', 'down']);
  assert.equal(order.slice(4, 8).filter((one) => one === 'up').length, 2, order.join());
});

test('a limit that changes counts at once for those who wait', async () => {
  const clock = new FakeClock();
  let rate: number | undefined = 10;
  const grants = new Grants(() => ({ rate, until: Number.POSITIVE_INFINITY }), clock);
  await grants.take('down', 'a', 1_000);
  let granted = false;
  void grants.take('down', 'a', 1_000).then(() => {
    granted = true;
  });
  await clock.pass(10_000);
  assert.equal(granted, false, '100 s are to pay for the first');
  grants.changed();
  rate = undefined;
  grants.changed();
  await clock.pass(1);
  assert.equal(granted, true);
});

test('a limit that ends by the time of day counts at once for those who wait', async () => {
  const clock = new FakeClock();
  const limits: Limits = [{ from: 0, to: 12 * 60 + 1, limit: 1 }];
  const grants = new Grants((now) => limitAt(limits, now), clock);
  await grants.take('down', 'a', 1_000_000);
  const times: number[] = [];
  void grants.take('down', 'a', 1).then(() => times.push(clock.now()));
  await clock.pass(120_000);
  assert.deepEqual(times, [at(12, 1)]);
});

test('whoever leaves is not granted, and not waited for', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 1_000, until: Number.POSITIVE_INFINITY }), clock);
  await grants.take('down', 'a', 1_000);
  const leaving = new AbortController();
  const left = grants.take('down', 'a', 1_000_000, leaving.signal);
  const next = grants.take('down', 'b', 1);
  leaving.abort(new Error('leaves'));
  await assert.rejects(left, /leaves/);
  await clock.pass(1_000);
  await next;
});

test('what is saved up while nobody asks is a tenth of a second', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 1_000, until: Number.POSITIVE_INFINITY }), clock);
  await clock.pass(60_000);
  const times: number[] = [];
  for (let index = 0; index < 4; index += 1)
    void grants.take('down', 'a', 100).then(() => times.push(clock.now()));
  const begun = clock.now();
  await clock.pass(1_000);
  assert.deepEqual(
    times.map((time) => time - begun),
    [0, 0, 100, 200],
  );
});
