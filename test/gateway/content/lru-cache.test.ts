import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { InvalidationBarrier } from '../../../services/gateway/content/invalidation-barrier.ts';
import { LruCache } from '../../../services/gateway/content/lru-cache.ts';

/** Answers one after the other, each when the test says so. */
function oracle() {
  const asked: PromiseWithResolvers<string>[] = [];
  const ask = () => {
    const question = Promise.withResolvers<string>();
    asked.push(question);
    return question.promise;
  };
  return { asked, ask };
}
const fail = () => Promise.reject(new Error('nobody was to be asked'));

test('many who ask at once ask once, and what was answered is remembered', async () => {
  const memory = new LruCache<string>({ maxEntries: 10 });
  const { asked, ask } = oracle();
  const answers = Array.from({ length: 100 }, () => memory.get('a', ask));
  await turn();
  equal(asked.length, 1);
  asked[0]!.resolve('one');
  deepEqual(new Set(await Promise.all(answers)), new Set(['one']));
  equal(await memory.get('a', fail), 'one');
});

test('what was asked before a change and answered after it is not kept', async () => {
  const memory = new LruCache<string>({ maxEntries: 10 });
  const { asked, ask } = oracle();
  for (const change of [
    () => memory.forget('a'),
    () => memory.forgetWhere(() => false),
    () => memory.forgetAll(),
  ]) {
    asked.length = 0;
    const before = memory.get('a', ask);
    change();
    const after = memory.get('a', ask);
    await turn();
    equal(asked.length, 2, 'whoever asks after the change does not wait for the answer from before it');
    asked[1]!.resolve('new');
    equal(await after, 'new');
    asked[0]!.resolve('old');
    equal(await before, 'old');
    equal(await memory.get('a', fail), 'new');
    memory.forgetAll();
  }
});

test('a change that was said before the request is heard before its answer', async () => {
  let change: (() => void) | undefined;
  // What was said is heard while the reader waits.
  const barrier = async () => {
    await turn();
    change?.();
    return true;
  };
  const memory = new LruCache<string>({ maxEntries: 10, barrier });
  const { asked, ask } = oracle();
  const first = memory.get('a', ask);
  asked[0]!.resolve('old');
  await first;
  change = () => memory.forget('a');
  const second = memory.get('a', async () => 'new');
  equal(await second, 'new');
  // The same for an answer that is on its way.
  memory.forgetAll();
  const coming = memory.get('a', ask);
  const joined = memory.get('a', async () => 'newer');
  equal(await joined, 'newer');
  asked[1]!.resolve('old');
  equal(await coming, 'old');
});

test('while nobody can say what changed, each request asks', async () => {
  const memory = new LruCache<string>({ maxEntries: 10, barrier: async () => false });
  let count = 0;
  const ask = async () => String(++count);
  equal(await memory.get('a', ask), '1');
  equal(await memory.get('a', ask), '2');
});

test('failures are not remembered, and everyone who waited gets them', async () => {
  const memory = new LruCache<string>({ maxEntries: 10 });
  const { asked, ask } = oracle();
  const answers = [memory.get('a', ask), memory.get('a', ask)];
  await turn();
  asked[0]!.reject(new Error('away'));
  for (const answer of answers) await rejects(answer, /away/);
  equal(await memory.get('a', async () => 'there'), 'there');
});

test('the least lately used goes first, by number and by cost', async () => {
  const memory = new LruCache<string>({ maxEntries: 3, maxCost: 10, cost: (value) => value.length });
  const keep = (key: string, value = 'x') => memory.get(key, async () => value);
  for (const key of ['a', 'b', 'c', 'a', 'd']) await keep(key);
  equal(memory.size, 3);
  equal(await memory.get('a', fail), 'x');
  await rejects(memory.get('b', fail));
  await keep('long', 'x'.repeat(9));
  deepEqual([memory.size, memory.cost], [2, 10]);
  await keep('too long', 'x'.repeat(11));
  await rejects(memory.get('too long', fail));
  for (let n = 0; n < 1_000; n += 1) await keep(`key ${n}`, 'x'.repeat(n % 12));
  equal(memory.size <= 3 && memory.cost <= 10, true);
});

test('nothing is believed for longer than its time', async () => {
  const memory = new LruCache<string>({ maxEntries: 3, lifetimeMs: 0 });
  await memory.get('a', async () => 'one');
  equal(await memory.get('a', async () => 'two'), 'two');
});

test('all who wait in one turn share a question to the bus, asked after the last of them', async () => {
  const asked: PromiseWithResolvers<void>[] = [];
  const ahead = new InvalidationBarrier({
    flush: () => {
      const question = Promise.withResolvers<void>();
      asked.push(question);
      return question.promise;
    },
  });
  const first = [ahead.wait(), ahead.wait()];
  equal(asked.length, 0);
  await turn();
  equal(asked.length, 1);
  const second = ahead.wait();
  await turn();
  equal(asked.length, 2, 'who comes after the question needs another');
  asked[0]!.resolve();
  deepEqual(await Promise.all(first), [true, true]);
  asked[1]!.reject(new Error('broken'));
  equal(await second, false);
});
