import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from '#proto/async/turns.ts';

test('tasks run two at a time, in order, and a task that fails frees its turn', async () => {
  const turns = new Turns(2, 60_000, 'two');
  const started: number[] = [];
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  const all = gates.map(({ promise }, index) =>
    turns.run(async () => {
      started.push(index);
      await promise;
    }),
  );
  const settled = Promise.allSettled(all);
  for (let index = 0; index < 5; index += 1) {
    assert.deepEqual(started, [0, 1, 2, 3, 4].slice(0, index + 2));
    if (index === 1) gates[index]?.reject(new Error('failed'));
    else gates[index]?.resolve();
    await all[index]?.catch(() => {});
    await new Promise(setImmediate);
  }
  assert.equal((await settled).filter(({ status }) => status === 'rejected').length, 1);
  assert.equal(await turns.run(async () => 'free'), 'free');
});

test('a task that gets no turn in time is refused, and takes none later', async () => {
  const turns = new Turns(1, 10, 'one page is already being read');
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = turns.run(() => promise);
  await assert.rejects(
    turns.run(async () => assert.fail('it ran')),
    { code: 'too-many', message: 'one page is already being read: retry later' },
  );
  resolve();
  await first;
  assert.equal(await turns.run(async () => 'free'), 'free');
});
