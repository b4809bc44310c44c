import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Outbox } from '#proto/bus/outbox.ts';

test('things go one after another, in order, each until it has gone', async () => {
  const sent: number[] = [];
  let failures = 2;
  let atOnce = 0;
  const outbox = new Outbox<number>(
    async (item) => {
      atOnce += 1;
      assert.equal(atOnce, 1);
      await Promise.resolve();
      atOnce -= 1;
      if (item === 2 && failures > 0) {
        failures -= 1;
        throw new Error('away');
      }
      sent.push(item);
      if (item === 3) all.resolve();
    },
    () => assert.fail('nothing is to be dropped'),
  );
  const all = Promise.withResolvers<void>();
  // The pause between two tries holds no process: this does.
  const hold = setInterval(() => {}, 1_000);
  for (const item of [1, 2, 3]) outbox.add(item);
  await all.promise;
  clearInterval(hold);
  assert.deepEqual(sent, [1, 2, 3]);
});

test('what is added while the last one ends goes, too', async () => {
  const gone = new Map<number, () => void>();
  const outbox = new Outbox<number>(
    async (item) => gone.get(item)?.(),
    () => assert.fail('nothing is to be dropped'),
  );
  const go = (item: number) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gone.set(item, resolve);
    outbox.add(item);
    return promise;
  };
  // One of these turns lies between the last look at the queue and the end of what looks at it.
  for (let turns = 0; turns < 20; turns += 1) {
    await go(turns * 2);
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    let there = false;
    void go(turns * 2 + 1).then(() => {
      there = true;
    });
    await setImmediate();
    assert.ok(there, `${turns} turns after the one before it`);
  }
});

test('what waits to be tried again is tried once more at the end, at once', async () => {
  const sent: number[] = [];
  const failed = Promise.withResolvers<void>();
  let away = true;
  const outbox = new Outbox<number>(
    async (item) => {
      if (!away) return void sent.push(item);
      failed.resolve();
      throw new Error('away');
    },
    () => assert.fail('nothing is to be dropped'),
  );
  for (const item of [1, 2]) outbox.add(item);
  await failed.promise;
  // It has begun to wait.
  await setImmediate();
  away = false;
  void outbox.close();
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  assert.deepEqual(sent, [1, 2]);
});

test('past the limit the oldest are dropped, and counted', async () => {
  const gate = Promise.withResolvers<void>();
  const sent: number[] = [];
  let dropped = 0;
  const outbox = new Outbox<number>(
    async (item) => {
      await gate.promise;
      sent.push(item);
    },
    (count) => {
      dropped += count;
    },
    10,
  );
  for (let item = 0; item < 15; item += 1) outbox.add(item);
  gate.resolve();
  await outbox.close();
  assert.equal(dropped, 5);
  assert.deepEqual(sent.slice(-10), [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
});

test('closing sends what can be sent, and gives up the rest at the first failure', async () => {
  let dropped = 0;
  const sent: number[] = [];
  const outbox = new Outbox<number>(
    async (item) => {
      if (item === 2) throw new Error('away');
      sent.push(item);
    },
    (count) => {
      dropped += count;
    },
  );
  for (const item of [1, 2, 3]) outbox.add(item);
  await outbox.close();
  assert.deepEqual(sent, [1]);
  assert.equal(dropped, 2);
});
