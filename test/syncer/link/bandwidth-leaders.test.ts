import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BusCaller, RequestServer } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { SharedBandwidth } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import { patience } from '../../support/until.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const { signal } = new AbortController();

/** Two processes on one bus of which the test decides who serves. */
function pair() {
  const handlers = new Set<(query: unknown) => Promise<unknown>>();
  let calls = 0;
  const bus = {
    serve: (_contract: unknown, handler: (query: unknown) => Promise<unknown>) => {
      handlers.add(handler);
      return async () => void handlers.delete(handler);
    },
    call: async (_contract: unknown, query: unknown) => {
      calls += 1;
      const [handler] = handlers;
      if (!handler) throw new Fault('unavailable', 'nobody answers');
      return handler(query);
    },
  } as unknown as BusCaller & RequestServer;
  const [one, other] = ['one', 'other'].map((name) => new SharedBandwidth(bus, name, log));
  return { one: one!, other: other!, calls: () => calls };
}

test('without a limit nobody is asked, and a piece may be of any size', async () => {
  const { one, calls } = pair();
  await one.take(10 ** 9, 'down', signal);
  assert.equal(calls(), 0);
  assert.equal(one.piece, undefined);
});

test('the coordinator grants to itself without the bus, and to others over it', async () => {
  const { one, other, calls } = pair();
  for (const each of [one, other]) each.set([{ limit: 1_000_000 }]);
  assert.equal(one.piece, 250_000);
  const end = one.serveGrants();
  await one.take(1_000, 'down', signal);
  assert.equal(calls(), 0);
  await other.take(1_000, 'up', signal);
  assert.equal(calls(), 1);
  end();
});

test('whoever waits while the coordinator changes asks the next one', { timeout: patience() }, async () => {
  const { one, other, calls } = pair();
  for (const each of [one, other]) each.set([{ limit: 1_000 }]);
  const end = one.serveGrants();
  await one.take(1_000_000, 'down', signal);
  // Both have a quarter of an hour to wait.
  const waiting = Promise.all([one.take(1, 'down', signal), other.take(1, 'up', signal)]);
  await new Promise((resolve) => setImmediate(resolve));
  end();
  const endOther = other.serveGrants();
  await waiting;
  assert.ok(calls() >= 2);
  endOther();
});

test('what a process asks for and then leaves costs the others one question at most', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const { one, other, calls } = pair();
  for (const each of [one, other]) each.set([{ limit: 1_000_000 }]);
  const end = one.serveGrants();
  await one.take(100_000, 'down', signal);
  const leaving = new AbortController();
  const waiting = Array.from({ length: 8 }, () => other.take(100_000, 'down', leaving.signal));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(calls(), 1);
  leaving.abort(new Error('leaves'));
  await Promise.all(waiting.slice(1).map((one) => assert.rejects(one, /leaves/)));
  let over = false;
  const last = other.take(1, 'down', signal).then(() => {
    over = true;
  });
  // What was granted and one question more; the others would take 0.7 s besides.
  t.mock.timers.tick(250);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(over, 'this waited for what nobody wants');
  await last;
  await Promise.allSettled(waiting);
  end();
});

test('a limit that is taken away is no limit for those who wait for a coordinator', {
  timeout: patience(),
}, async () => {
  const { one } = pair();
  one.set([{ limit: 1 }]);
  const waiting = one.take(1_000_000, 'down', signal);
  one.set([]);
  await waiting;
});

test('a wait ends with its signal', async () => {
  const { one } = pair();
  one.set([{ limit: 1 }]);
  const leaving = new AbortController();
  const waiting = one.take(1_000, 'down', leaving.signal);
  // It rests before it asks again.
  await new Promise((resolve) => setImmediate(resolve));
  leaving.abort(new Error('leaves'));
  await assert.rejects(waiting, /leaves/);
});
