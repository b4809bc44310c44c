import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { InvalidationBarrier } from '../../../services/gateway/content/invalidation-barrier.ts';
import { LruCache } from '../../../services/gateway/content/lru-cache.ts';

/** A source of values, each of which the test resolves. */
function source() {
  const fetches: PromiseWithResolvers<string>[] = [];
  const fetch = () => {
    const value = Promise.withResolvers<string>();
    fetches.push(value);
    return value.promise;
  };
  return { fetches, fetch };
}
const fail = () => Promise.reject(new Error('unexpected fetch'));

test('concurrent calls for a key share one fetch, and its value is cached', async () => {
  const cache = new LruCache<string>({ maxEntries: 10 });
  const { fetches, fetch } = source();
  const answers = Array.from({ length: 100 }, () => cache.get('a', fetch));
  await turn();
  equal(fetches.length, 1);
  fetches[0]!.resolve('one');
  deepEqual(new Set(await Promise.all(answers)), new Set(['one']));
  equal(await cache.get('a', fail), 'one');
});

test('a value whose fetch began before a change is not cached', async () => {
  const cache = new LruCache<string>({ maxEntries: 10 });
  const { fetches, fetch } = source();
  for (const change of [
    () => cache.forget('a'),
    () => cache.forgetWhere(() => false),
    () => cache.forgetAll(),
  ]) {
    fetches.length = 0;
    const before = cache.get('a', fetch);
    change();
    const after = cache.get('a', fetch);
    await turn();
    equal(fetches.length, 2, 'a call after the change does not share the fetch from before it');
    fetches[1]!.resolve('new');
    equal(await after, 'new');
    fetches[0]!.resolve('old');
    equal(await before, 'old');
    equal(await cache.get('a', fail), 'new');
    cache.forgetAll();
  }
});

test('a change published before a call is received before its value is returned', async () => {
  let change: (() => void) | undefined;
  // Published changes are received while the reader waits.
  const barrier = async () => {
    await turn();
    change?.();
    return true;
  };
  const cache = new LruCache<string>({ maxEntries: 10, barrier });
  const { fetches, fetch } = source();
  const first = cache.get('a', fetch);
  fetches[0]!.resolve('old');
  await first;
  change = () => cache.forget('a');
  const second = cache.get('a', async () => 'new');
  equal(await second, 'new');
  // The same for a fetch that is running.
  cache.forgetAll();
  const running = cache.get('a', fetch);
  const joined = cache.get('a', async () => 'newer');
  equal(await joined, 'newer');
  fetches[1]!.resolve('old');
  equal(await running, 'old');
});

test('while the barrier fails, each call fetches', async () => {
  const cache = new LruCache<string>({ maxEntries: 10, barrier: async () => false });
  let count = 0;
  const fetch = async () => String(++count);
  equal(await cache.get('a', fetch), '1');
  equal(await cache.get('a', fetch), '2');
});

test('failures are not cached, and all waiting callers get them', async () => {
  const cache = new LruCache<string>({ maxEntries: 10 });
  const { fetches, fetch } = source();
  const answers = [cache.get('a', fetch), cache.get('a', fetch)];
  await turn();
  fetches[0]!.reject(new Error('unavailable'));
  for (const answer of answers) await rejects(async () => answer, /unavailable/);
  equal(await cache.get('a', async () => 'value'), 'value');
});

test('the least recently used values are removed first, by number and by cost', async () => {
  const cache = new LruCache<string>({ maxEntries: 3, maxCost: 10, cost: (value) => value.length });
  const keep = (key: string, value = 'x') => cache.get(key, async () => value);
  for (const key of ['a', 'b', 'c', 'a', 'd']) await keep(key);
  equal(cache.size, 3);
  equal(await cache.get('a', fail), 'x');
  await rejects(async () => cache.get('b', fail));
  await keep('long', 'x'.repeat(9));
  deepEqual([cache.size, cache.cost], [2, 10]);
  await keep('too long', 'x'.repeat(11));
  await rejects(async () => cache.get('too long', fail));
  for (let n = 0; n < 1_000; n += 1) await keep(`key ${n}`, 'x'.repeat(n % 12));
  equal(cache.size <= 3 && cache.cost <= 10, true);
});

test('a value is not returned after its lifetime', async () => {
  const cache = new LruCache<string>({ maxEntries: 3, lifetimeMs: 0 });
  await cache.get('a', async () => 'one');
  equal(await cache.get('a', async () => 'two'), 'two');
});

test('all waits of one turn share one flush of the bus, sent after the last of them', async () => {
  const flushes: PromiseWithResolvers<void>[] = [];
  const barrier = new InvalidationBarrier({
    flush: () => {
      const answer = Promise.withResolvers<void>();
      flushes.push(answer);
      return answer.promise;
    },
  });
  const first = [barrier.wait(), barrier.wait()];
  equal(flushes.length, 0);
  await turn();
  equal(flushes.length, 1);
  const second = barrier.wait();
  await turn();
  equal(flushes.length, 2, 'a wait after the flush needs another one');
  flushes[0]!.resolve();
  deepEqual(await Promise.all(first), [true, true]);
  flushes[1]!.reject(new Error('broken'));
  equal(await second, false);
});
