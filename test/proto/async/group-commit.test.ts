import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupCommit } from '#proto/async/group-commit.ts';

/** Each run waits until the test ends it. */
function controlled(maxItems?: number) {
  const runs: { items: string[]; end: () => void; fail: (error: Error) => void }[] = [];
  const group = new GroupCommit<string>((items) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    runs.push({ items, end: resolve, fail: reject });
    return promise;
  }, maxItems);
  return { group, runs };
}

test('an item runs at once; those that are added meanwhile share the next run', async () => {
  const { group, runs } = controlled();
  const first = group.add('a');
  const others = [group.add('b'), group.add('c')];
  assert.deepEqual(
    runs.map(({ items }) => items),
    [['a']],
  );
  runs[0]?.end();
  await first;
  assert.deepEqual(runs[1]?.items, ['b', 'c']);
  runs[1]?.end();
  await Promise.all(others);
  const last = group.add('d');
  assert.deepEqual(runs[2]?.items, ['d']);
  runs[2]?.end();
  await last;
});

test('a failure is that of all items of its run, and of no other', async () => {
  const { group, runs } = controlled();
  const first = group.add('a');
  const failing = [group.add('b'), group.add('c')];
  runs[0]?.end();
  await first;
  const after = group.add('d');
  runs[1]?.fail(new Error('disk'));
  for (const each of failing) await assert.rejects(each, /disk/);
  runs[2]?.end();
  await after;
});

test('a run has at most `maxItems`', async () => {
  const { group, runs } = controlled(2);
  const all = ['a', 'b', 'c', 'd'].map((item) => group.add(item));
  for (let i = 0; i < 3; i += 1) {
    runs[i]?.end();
    await new Promise(setImmediate);
  }
  await Promise.all(all);
  assert.deepEqual(
    runs.map(({ items }) => items),
    [['a'], ['b', 'c'], ['d']],
  );
});
