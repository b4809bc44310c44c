import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { RetryQueue } from '#proto/bus/retry-queue.ts';

test('items are sent one at a time, in order, and each is retried until it is sent', async () => {
  const sent: number[] = [];
  let failures = 2;
  let active = 0;
  const queue = new RetryQueue<number>(
    async (item) => {
      active += 1;
      assert.equal(active, 1);
      await Promise.resolve();
      active -= 1;
      if (item === 2 && failures > 0) {
        failures -= 1;
        throw new Error('away');
      }
      sent.push(item);
      if (item === 3) all.resolve();
    },
    () => assert.fail('an item was dropped'),
  );
  const all = Promise.withResolvers<void>();
  // The pause before a retry does not keep the process running: this does.
  const keepRunning = setInterval(() => {}, 1_000);
  for (const item of [1, 2, 3]) queue.add(item);
  await all.promise;
  clearInterval(keepRunning);
  assert.deepEqual(sent, [1, 2, 3]);
});

test('an item that is added while the queue becomes empty is sent', async () => {
  const resolvers = new Map<number, () => void>();
  const queue = new RetryQueue<number>(
    async (item) => resolvers.get(item)?.(),
    () => assert.fail('an item was dropped'),
  );
  const send = (item: number) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    resolvers.set(item, resolve);
    queue.add(item);
    return promise;
  };
  // One of these turns is between the last check of the queue and the end of the function that checks it.
  for (let turns = 0; turns < 20; turns += 1) {
    await send(turns * 2);
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    let isSent = false;
    void send(turns * 2 + 1).then(() => {
      isSent = true;
    });
    await setImmediate();
    assert.ok(isSent, `added ${turns} turns after the previous item was sent`);
  }
});

test('closing makes a waiting retry at once', async () => {
  const sent: number[] = [];
  const failed = Promise.withResolvers<void>();
  let away = true;
  const queue = new RetryQueue<number>(
    async (item) => {
      if (!away) return void sent.push(item);
      failed.resolve();
      throw new Error('away');
    },
    () => assert.fail('an item was dropped'),
  );
  for (const item of [1, 2]) queue.add(item);
  await failed.promise;
  // The pause before the retry has begun.
  await setImmediate();
  away = false;
  void queue.close();
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  assert.deepEqual(sent, [1, 2]);
});

test('above the limit the oldest items are dropped and counted', async () => {
  const gate = Promise.withResolvers<void>();
  const sent: number[] = [];
  let dropped = 0;
  const queue = new RetryQueue<number>(
    async (item) => {
      await gate.promise;
      sent.push(item);
    },
    (count) => {
      dropped += count;
    },
    10,
  );
  for (let item = 0; item < 15; item += 1) queue.add(item);
  gate.resolve();
  await queue.close();
  assert.equal(dropped, 5);
  assert.deepEqual(sent.slice(-10), [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
});

test('closing sends the queued items and drops the rest at the first failure', async () => {
  let dropped = 0;
  const sent: number[] = [];
  const queue = new RetryQueue<number>(
    async (item) => {
      if (item === 2) throw new Error('away');
      sent.push(item);
    },
    (count) => {
      dropped += count;
    },
  );
  for (const item of [1, 2, 3]) queue.add(item);
  await queue.close();
  assert.deepEqual(sent, [1]);
  assert.equal(dropped, 2);
});

test('up to `parallel` items are on their way at a time; those that fail are sent again, in order', async () => {
  const begun: number[] = [];
  const sent: number[] = [];
  let peak = 0;
  let active = 0;
  const failing = new Set([2, 3]);
  const all = Promise.withResolvers<void>();
  const queue = new RetryQueue<number>(
    async (item) => {
      begun.push(item);
      active += 1;
      peak = Math.max(peak, active);
      await setImmediate();
      active -= 1;
      if (failing.delete(item)) throw new Error('away');
      sent.push(item);
      if (sent.length === 6) all.resolve();
    },
    () => assert.fail('an item was dropped'),
    undefined,
    4,
  );
  const keepRunning = setInterval(() => {}, 1_000);
  for (const item of [1, 2, 3, 4, 5, 6]) queue.add(item);
  await all.promise;
  clearInterval(keepRunning);
  assert.equal(peak, 4);
  // The first item begins alone: the others are added after it.
  assert.deepEqual(begun, [1, 2, 3, 4, 5, 2, 3, 6]);
  assert.deepEqual(sent, [1, 4, 5, 2, 3, 6]);
});
