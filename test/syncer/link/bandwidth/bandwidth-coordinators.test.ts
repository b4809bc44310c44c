import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BusCaller, RequestServer } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { SharedBandwidth } from '../../../../services/syncer/link/bandwidth/bandwidth.ts';
import { patience } from '../../../support/until.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const { signal } = new AbortController();

/** Two processes on one bus. The test decides which of them is the coordinator. */
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
      if (!handler) throw new Fault('unavailable', 'no answer');
      return handler(query);
    },
  } as unknown as BusCaller & RequestServer;
  const [one, other] = ['one', 'other'].map((name) => new SharedBandwidth(bus, name, log));
  return { one: one!, other: other!, calls: () => calls };
}

test('without a limit no grant is requested, and a piece may have any size', async () => {
  const { one, calls } = pair();
  await one.take(10 ** 9, 'down', signal);
  assert.equal(calls(), 0);
  assert.equal(one.maxPieceBytes, undefined);
});

test('the coordinator grants to itself without the bus, and to other syncers over the bus', async () => {
  const { one, other, calls } = pair();
  for (const syncer of [one, other]) syncer.set([{ limit: 1_000_000 }]);
  assert.equal(one.maxPieceBytes, 250_000);
  const end = one.serveGrants();
  await one.take(1_000, 'down', signal);
  assert.equal(calls(), 0);
  await other.take(1_000, 'up', signal);
  assert.equal(calls(), 1);
  end();
});

test('syncers that wait while the coordinator changes request again from the new one', {
  timeout: patience(),
}, async () => {
  const { one, other, calls } = pair();
  for (const syncer of [one, other]) syncer.set([{ limit: 1_000 }]);
  const end = one.serveGrants();
  await one.take(1_000_000, 'down', signal);
  // Both would have to wait a quarter of an hour.
  const waiting = Promise.all([one.take(1, 'down', signal), other.take(1, 'up', signal)]);
  await new Promise((resolve) => setImmediate(resolve));
  end();
  const endOther = other.serveGrants();
  await waiting;
  assert.ok(calls() >= 2);
  endOther();
});

test('aborted requests of a syncer cost at most one grant', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const { one, other, calls } = pair();
  for (const syncer of [one, other]) syncer.set([{ limit: 1_000_000 }]);
  const end = one.serveGrants();
  await one.take(100_000, 'down', signal);
  const aborting = new AbortController();
  const waiting = Array.from({ length: 8 }, () => other.take(100_000, 'down', aborting.signal));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(calls(), 1);
  aborting.abort(new Error('aborted by the test'));
  await Promise.all(waiting.slice(1).map((request) => assert.rejects(request, /aborted by the test/)));
  let granted = false;
  const last = other.take(1, 'down', signal).then(() => {
    granted = true;
  });
  // The grant in progress and one more request. The aborted requests would take another 0.7 s.
  t.mock.timers.tick(250);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(granted, 'the request waited for aborted ones');
  await last;
  await Promise.allSettled(waiting);
  end();
});

test('a removed limit ends the wait for a coordinator', {
  timeout: patience(),
}, async () => {
  const { one } = pair();
  one.set([{ limit: 1 }]);
  const waiting = one.take(1_000_000, 'down', signal);
  one.set([]);
  await waiting;
});

test('a wait ends when its signal aborts', async () => {
  const { one } = pair();
  one.set([{ limit: 1 }]);
  const aborting = new AbortController();
  const waiting = one.take(1_000, 'down', aborting.signal);
  // It waits before the next request.
  await new Promise((resolve) => setImmediate(resolve));
  aborting.abort(new Error('aborted by the test'));
  await assert.rejects(waiting, /aborted by the test/);
});
