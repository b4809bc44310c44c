import assert from 'node:assert/strict';
import { test } from 'node:test';
import { each } from '#proto/async/each.ts';

test('each item is processed once, and at most so many at a time', async () => {
  const seen: number[] = [];
  let running = 0;
  let highest = 0;
  await each([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    running += 1;
    highest = Math.max(highest, running);
    await Promise.resolve();
    seen.push(item);
    running -= 1;
  });
  assert.deepEqual(
    seen.toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7],
  );
  assert.equal(highest, 3);
});

test('after a failure no further task begins, and the first failure is thrown when running tasks have ended', async () => {
  const begun: number[] = [];
  const ended: number[] = [];
  const release = Promise.withResolvers<void>();
  const running = each([1, 2, 3, 4], 2, async (item) => {
    begun.push(item);
    if (item === 1) throw new Error('first');
    await release.promise;
    ended.push(item);
    throw new Error('second');
  });
  const settled = running.catch(() => ended.length);
  await Promise.resolve();
  release.resolve();
  assert.equal(await settled, 1);
  await assert.rejects(running, /first/);
  assert.deepEqual(begun, [1, 2]);
});

test('no items are no work', async () => {
  await each([], 4, () => assert.fail('there is nothing to do'));
});
