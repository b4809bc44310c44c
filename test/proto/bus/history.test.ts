import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { Past } from '#proto/bus/history.ts';
import { blobCommitted } from '#proto/content/content-events.ts';
import { TestBus } from '../../support/bus.ts';
import { patienceSignal } from '../../support/until.ts';

/** Reading the history of events from the stream. */

const digest = `sha256:${'0'.repeat(64)}`;

/** The events are stored in order, as soon as the server accepts them. */
function publish(bus: Bus, sizes: number[]): void {
  for (const size of sizes) bus.publish(blobCommitted, { digest, size });
}

const gapOrSize = (past: Past) => ('gap' in past ? past.gap : (past.event.data as { size: number }).size);

/** Reads at most `count` events and gaps. */
async function read(history: AsyncGenerator<Past>, count: number): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const past of history) {
    events.push(gapOrSize(past));
    if (events.length === count) break;
  }
  return events;
}

async function rig() {
  const server = await TestBus.start();
  const [storage, operator] = [await server.connect('storage'), await server.connect('operator')];
  const end = new AbortController();
  return {
    server,
    storage,
    operator,
    signal: AbortSignal.any([end.signal, patienceSignal()]),
    [Symbol.asyncDispose]: async () => {
      end.abort();
      await server[Symbol.asyncDispose]();
    },
  };
}

const all = async (history: AsyncGenerator<Past>) => read(history, Number.POSITIVE_INFINITY);

test('the history is read in order, from its beginning, from a sequence or from a time', async () => {
  await using r = await rig();
  publish(r.storage, [1, 2, 3]);
  assert.deepEqual(await read(r.operator.history({ follow: true, signal: r.signal }), 3), [1, 2, 3]);
  const between = new Date();
  publish(r.storage, [4]);
  assert.deepEqual(await read(r.operator.history({ follow: true, since: 4, signal: r.signal }), 1), [4]);
  assert.deepEqual(await all(r.operator.history({})), [1, 2, 3, 4]);
  assert.deepEqual(await all(r.operator.history({ since: 3 })), [3, 4]);
  assert.deepEqual(await all(r.operator.history({ since: between })), [4]);
  assert.deepEqual(await all(r.operator.history({ since: new Date(Date.now() + 60_000) })), []);
});

test('following continues after the server is killed, with each event once', async () => {
  await using r = await rig();
  publish(r.storage, [1, 2]);
  const history = r.operator.history({ follow: true, signal: r.signal });
  assert.deepEqual(
    [gapOrSize((await history.next()).value), gapOrSize((await history.next()).value)],
    [1, 2],
  );
  const next = history.next();
  await r.server.kill();
  await r.server.up();
  publish(r.storage, [3, 4]);
  assert.deepEqual([gapOrSize((await next).value), gapOrSize((await history.next()).value)], [3, 4]);
  await history.return(undefined);
});

test('a lost store is reported as a gap, and later events follow', async () => {
  await using r = await rig();
  publish(r.storage, [1, 2, 3]);
  const history = r.operator.history({ follow: true, signal: r.signal });
  for (const size of [1, 2, 3]) assert.equal(gapOrSize((await history.next()).value), size);
  const next = history.next();
  await r.server.kill({ forget: true });
  await r.server.up();
  publish(r.storage, [7]);
  assert.deepEqual(gapOrSize((await next).value), { from: 4, reason: 'lost' });
  assert.equal(gapOrSize((await history.next()).value), 7);
  await history.return(undefined);
});

test('without following, a sequence beyond the next one is a gap', async () => {
  await using r = await rig();
  publish(r.storage, [1]);
  await read(r.operator.history({ follow: true, signal: r.signal }), 1);
  assert.deepEqual(await all(r.operator.history({ since: 2 })), []);
  assert.deepEqual(await all(r.operator.history({ since: 9 })), [{ from: 9, reason: 'lost' }, 1]);
});

test('an abort while no event arrives ends following', async () => {
  await using r = await rig();
  publish(r.storage, [1]);
  const end = new AbortController();
  const history = r.operator.history({ follow: true, signal: end.signal });
  assert.equal(gapOrSize((await history.next()).value), 1);
  const next = history.next();
  end.abort();
  assert.equal((await next).done, true);
});

test('a reader that is blocked for longer than a wait for a page misses no event', async () => {
  await using r = await rig();
  const sizes = Array.from({ length: 3_000 }, (_, index) => index + 1);
  publish(r.storage, sizes);
  const events: unknown[] = [];
  for await (const past of r.operator.history({ follow: true, signal: r.signal })) {
    events.push(gapOrSize(past));
    if (events.length === sizes.length) break;
    if (events.length % 700 !== 10) continue;
    // Blocks the thread, as in a process that gets no CPU time.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_300);
  }
  assert.deepEqual(events, sizes);
});
