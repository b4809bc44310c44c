import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { Past } from '#proto/bus/history.ts';
import { blobCommitted } from '#proto/content/content-events.ts';
import { TestBus } from '../../support/bus.ts';
import { patienceSignal } from '../../support/until.ts';

/** The history of events, read back from the stream. */

const digest = `sha256:${'0'.repeat(64)}`;

/** They are stored in order, as soon as the server takes them. */
function say(bus: Bus, sizes: number[]): void {
  for (const size of sizes) bus.publish(blobCommitted, { digest, size });
}

const told = (past: Past) => ('gap' in past ? past.gap : (past.event.data as { size: number }).size);

/** As many as are wanted, then no more. */
async function read(history: AsyncGenerator<Past>, count: number): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const past of history) {
    found.push(told(past));
    if (found.length === count) break;
  }
  return found;
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

test('all that is kept is told in order, from the beginning, a number or a time on', async () => {
  await using r = await rig();
  say(r.storage, [1, 2, 3]);
  assert.deepEqual(await read(r.operator.history({ follow: true, signal: r.signal }), 3), [1, 2, 3]);
  const between = new Date();
  say(r.storage, [4]);
  assert.deepEqual(await read(r.operator.history({ follow: true, since: 4, signal: r.signal }), 1), [4]);
  assert.deepEqual(await all(r.operator.history({})), [1, 2, 3, 4]);
  assert.deepEqual(await all(r.operator.history({ since: 3 })), [3, 4]);
  assert.deepEqual(await all(r.operator.history({ since: between })), [4]);
  assert.deepEqual(await all(r.operator.history({ since: new Date(Date.now() + 60_000) })), []);
});

test('following goes on over kill -9 of the server, each event once', async () => {
  await using r = await rig();
  say(r.storage, [1, 2]);
  const history = r.operator.history({ follow: true, signal: r.signal });
  assert.deepEqual([told((await history.next()).value), told((await history.next()).value)], [1, 2]);
  const next = history.next();
  await r.server.kill();
  await r.server.up();
  say(r.storage, [3, 4]);
  assert.deepEqual([told((await next).value), told((await history.next()).value)], [3, 4]);
  await history.return(undefined);
});

test('a store that was lost is told as a gap, and what comes after it is told', async () => {
  await using r = await rig();
  say(r.storage, [1, 2, 3]);
  const history = r.operator.history({ follow: true, signal: r.signal });
  for (const size of [1, 2, 3]) assert.equal(told((await history.next()).value), size);
  const next = history.next();
  await r.server.kill({ forget: true });
  await r.server.up();
  say(r.storage, [7]);
  assert.deepEqual(told((await next).value), { from: 4, reason: 'lost' });
  assert.equal(told((await history.next()).value), 7);
  await history.return(undefined);
});

test('what is asked for and not there yet is a gap where nobody follows', async () => {
  await using r = await rig();
  say(r.storage, [1]);
  await read(r.operator.history({ follow: true, signal: r.signal }), 1);
  assert.deepEqual(await all(r.operator.history({ since: 2 })), []);
  assert.deepEqual(await all(r.operator.history({ since: 9 })), [{ from: 9, reason: 'lost' }, 1]);
});

test('an end that comes while nothing happens ends it', async () => {
  await using r = await rig();
  say(r.storage, [1]);
  const end = new AbortController();
  const history = r.operator.history({ follow: true, signal: end.signal });
  assert.equal(told((await history.next()).value), 1);
  const next = history.next();
  end.abort();
  assert.equal((await next).done, true);
});

test('who is busy for longer than a page of events lasts misses none of them', async () => {
  await using r = await rig();
  const sizes = Array.from({ length: 3_000 }, (_, index) => index + 1);
  say(r.storage, sizes);
  const found: unknown[] = [];
  for await (const past of r.operator.history({ follow: true, signal: r.signal })) {
    found.push(told(past));
    if (found.length === sizes.length) break;
    if (found.length % 700 !== 10) continue;
    // As a process does that gets no time: nothing of it goes on meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_300);
  }
  assert.deepEqual(found, sizes);
});
