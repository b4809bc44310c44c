import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Limits, limitAt } from '#proto/schedule/bandwidth-limit.ts';
import { type GrantClock, Grants } from '../../../../services/syncer/link/bandwidth/grants.ts';

const at = (hour: number, minute = 0, day = 5) => Date.UTC(2026, 0, day, hour, minute);

/** A clock that advances only in `pass`. */
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
      // Granted requests are followed by new ones before the time advances.
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

test('`limitAt` returns the limit in force and the time of its end', () => {
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

test('under constant demand, the average of any 10 s is within 5 % of the limit, whatever the requests', async () => {
  const requester = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    bytes: fc.integer({ min: 2_000, max: 25_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(requester, { minLength: 1, maxLength: 8 }), async (requesters) => {
      const rate = 100_000;
      const clock = new FakeClock();
      const granted: { at: number; bytes: number }[] = [];
      const grants = new Grants(() => ({ rate, until: Number.POSITIVE_INFINITY }), clock);
      const ends = requesters.map(async ({ key, bytes }) => {
        for (;;) {
          await grants.take('down', key, bytes);
          granted.push({ at: clock.now(), bytes });
        }
      });
      for (const end of ends) end.catch(() => {});
      await clock.pass(25_000);
      grants.end(new Error('the test is over'));
      for (const from of [0, 3_333, 7_000, 15_000].map((ms) => at(12) + ms)) {
        const window = granted.filter((grant) => grant.at >= from && grant.at < from + 10_000);
        const bytes = window.reduce((sum, grant) => sum + grant.bytes, 0);
        assert.ok(Math.abs(bytes / (10 * rate) - 1) <= 0.05, `${bytes} bytes in 10 s at ${rate}`);
      }
    }),
    { numRuns: 25 },
  );
});

test('syncers take turns, regardless of the number of their requests, each of which is served in order', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 1_000, until: Number.POSITIVE_INFINITY }), clock);
  const order: string[] = [];
  const request = (key: string, name: string) =>
    void grants.take('down', key, 1_000).then(() => order.push(name));
  for (const name of ['a1', 'a2', 'a3', 'a4']) request('a', name);
  for (const name of ['b1', 'b2']) request('b', name);
  await clock.pass(10_000);
  assert.deepEqual(order, ['a1', 'b1', 'a2', 'b2', 'a3', 'a4']);
});

test('turns are fair by bytes, also for a syncer with small requests', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 100_000, until: Number.POSITIVE_INFINITY }), clock);
  const granted = new Map<string, number>();
  const keepRequesting = async (key: string, bytes: number) => {
    for (;;) {
      await grants.take('down', key, bytes);
      granted.set(key, (granted.get(key) ?? 0) + bytes);
    }
  };
  for (const requests of [
    keepRequesting('a', 25_000),
    keepRequesting('a', 25_000),
    keepRequesting('b', 2_000),
  ])
    requests.catch(() => {});
  await clock.pass(20_000);
  grants.end(new Error('the test is over'));
  assert.ok(Math.abs(granted.get('a')! - granted.get('b')!) <= 50_000, JSON.stringify([...granted]));
});

test('each direction gets half, regardless of the number of syncers in one of them', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 100_000, until: Number.POSITIVE_INFINITY }), clock);
  const granted = { down: 0, up: 0 };
  const keepRequesting = async (direction: 'down' | 'up', by: string) => {
    for (;;) {
      await grants.take(direction, by, 25_000);
      granted[direction] += 25_000;
    }
  };
  for (const requests of [
    keepRequesting('down', 'a'),
    ...['a', 'b', 'c'].map((by) => keepRequesting('up', by)),
  ]) {
    requests.catch(() => {});
  }
  await clock.pass(20_000);
  grants.end(new Error('the test is over'));
  assert.ok(Math.abs(granted.down - granted.up) <= 50_000, JSON.stringify(granted));
});

test('a direction that missed turns gets no more than half afterwards', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 1_000, until: Number.POSITIVE_INFINITY }), clock);
  const order: string[] = [];
  const request = (direction: 'down' | 'up') =>
    void grants.take(direction, 'a', 1_000).then(() => order.push(direction));
  request('up');
  await clock.pass(5_000);
  for (let count = 0; count < 6; count += 1) request('down');
  await clock.pass(3_000);
  for (let count = 0; count < 3; count += 1) request('up');
  await clock.pass(20_000);
  assert.deepEqual(order.slice(0, 4), ['up', 'down', 'down', 'down']);
  assert.equal(order.slice(4, 8).filter((direction) => direction === 'up').length, 2, order.join());
});

test('a changed limit applies to waiting requests at once', async () => {
  const clock = new FakeClock();
  let rate: number | undefined = 10;
  const grants = new Grants(() => ({ rate, until: Number.POSITIVE_INFINITY }), clock);
  await grants.take('down', 'a', 1_000);
  let granted = false;
  void grants.take('down', 'a', 1_000).then(() => {
    granted = true;
  });
  await clock.pass(10_000);
  assert.equal(granted, false, 'the first request takes 100 s at this limit');
  grants.changed();
  rate = undefined;
  grants.changed();
  await clock.pass(1);
  assert.equal(granted, true);
});

test('the end of a limit by the time of day applies to waiting requests at once', async () => {
  const clock = new FakeClock();
  const limits: Limits = [{ from: 0, to: 12 * 60 + 1, limit: 1 }];
  const grants = new Grants((now) => limitAt(limits, now), clock);
  await grants.take('down', 'a', 1_000_000);
  const times: number[] = [];
  void grants.take('down', 'a', 1).then(() => times.push(clock.now()));
  await clock.pass(120_000);
  assert.deepEqual(times, [at(12, 1)]);
});

test('an aborted request is not granted, and delays no other', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 1_000, until: Number.POSITIVE_INFINITY }), clock);
  await grants.take('down', 'a', 1_000);
  const aborting = new AbortController();
  const aborted = grants.take('down', 'a', 1_000_000, aborting.signal);
  const next = grants.take('down', 'b', 1);
  aborting.abort(new Error('aborted by the test'));
  await assert.rejects(aborted, /aborted by the test/);
  await clock.pass(1_000);
  await next;
});

test('the credit that is saved without requests is at most a tenth of a second', async () => {
  const clock = new FakeClock();
  const grants = new Grants(() => ({ rate: 1_000, until: Number.POSITIVE_INFINITY }), clock);
  await clock.pass(60_000);
  const times: number[] = [];
  for (let index = 0; index < 4; index += 1)
    void grants.take('down', 'a', 100).then(() => times.push(clock.now()));
  const start = clock.now();
  await clock.pass(1_000);
  assert.deepEqual(
    times.map((time) => time - start),
    [0, 0, 100, 200],
  );
});
