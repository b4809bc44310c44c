import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { DeltaCache } from '../../../services/storage/deltas/delta-cache.ts';
import { DeltaIndex } from '../../../services/storage/deltas/delta-index.ts';
import { linkingRepositories } from '../../../services/storage/deltas/named-content.ts';
import { RefusedPairs } from '../../../services/storage/deltas/refused-pairs.ts';
import { put } from '../../../services/storage/metadata/metadata.ts';
import { openCacheRig } from './cache-rig.ts';
import { absent, deltaTo } from './delta-rig.ts';

/** Bounds of deltas and of refused pairs; what holds them. */

test('the index counts its deltas, and has them in the order of their last use', () => {
  const step = fc.record({
    digest: fc.constantFrom('a', 'b', 'c', 'd'),
    to: fc.constantFrom('x', 'y'),
    size: fc.nat(100),
    isDeleted: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const index = new DeltaIndex();
      let model: { digest: string; to: string; size: number }[] = [];
      for (const { isDeleted, ...one } of steps) {
        model = model.filter(({ digest }) => digest !== one.digest);
        if (isDeleted) index.delete(one.digest);
        else {
          index.set(one.digest, { to: one.to, size: one.size, used: 0, stored: 0 });
          model.push(one);
        }
      }
      assert.deepEqual(
        [...index.byUse()].map(([digest]) => digest),
        model.map(({ digest }) => digest),
      );
      assert.equal(index.count, model.length);
      assert.equal(
        index.bytes,
        model.reduce((sum, { size }) => sum + size, 0),
      );
      for (const to of ['x', 'y']) {
        const digests = model.filter((one) => one.to === to).map(({ digest }) => digest);
        assert.deepEqual(index.of(to), digests);
      }
    }),
  );
});

test('the number of deltas is bounded', async () => {
  await using rig = await openCacheRig();
  await using cache = new DeltaCache(rig.deps, 2);
  cache.limits = { maxBytes: 1_000, leaseMs: 0 };
  const digests = [await rig.keep(cache), await rig.keep(cache), await rig.keep(cache)];
  await cache.trim();
  assert.deepEqual(
    [...cache.index.byUse()].map(([digest]) => digest),
    digests.slice(1),
  );
});

test('leases count up to one and a half times the limits', async () => {
  const MiB = 1024 * 1024;
  await using rig = await openCacheRig();
  const left = (cache: DeltaCache) => [...cache.index.byUse()].map(([digest]) => digest);
  {
    await using cache = new DeltaCache(rig.deps);
    cache.limits = { maxBytes: 100 * MiB, leaseMs: 3_600_000 };
    const digests: string[] = [];
    for (let i = 0; i < 3; i += 1) digests.push(await rig.keep(cache, 50 * MiB));
    await cache.trim();
    assert.deepEqual(left(cache), digests);
    digests.push(await rig.keep(cache, 1 * MiB));
    await cache.trim();
    assert.deepEqual(left(cache), digests.slice(1), 'as many as are needed');
    using _ = await rig.grace.hold(digests[1] as string);
    digests.push(await rig.keep(cache, 60 * MiB));
    await cache.trim();
    assert.deepEqual(left(cache), [digests[1], ...digests.slice(3)], 'not one that a request holds');
    cache.limits = { maxBytes: 1, leaseMs: 3_600_000 };
    digests.push(await rig.keep(cache, 10 * MiB));
    await cache.trim();
    assert.deepEqual(left(cache), [digests[1], digests[5]], 'one that has just come is applied yet');
  }
  await using cache = new DeltaCache(rig.deps, 2);
  cache.limits = { maxBytes: 1_000, leaseMs: 3_600_000 };
  for (let i = 0; i < 4; i += 1) await rig.keep(cache);
  await cache.trim();
  assert.equal(cache.index.count, 3);
});

test('a delta that a request in progress holds is evicted after it', async () => {
  await using rig = await openCacheRig();
  await using cache = new DeltaCache(rig.deps);
  const digest = await rig.keep(cache);
  cache.limits = { maxBytes: 0, leaseMs: 0 };
  {
    using _ = await rig.grace.hold(digest);
    await cache.trim();
    assert.equal(await cache.relieve({ bytes: 1, files: 0 }), false);
    assert.equal(cache.index.count, 1);
    assert.ok(await rig.metadata.blob(digest));
  }
  await cache.trim();
  assert.equal(cache.index.count, 0);
  assert.deepEqual(
    [await rig.metadata.blob(digest), await rig.metadata.delta(digest)],
    [undefined, undefined],
  );
});

test('for space, deltas are deleted until it is enough, those in use too', async () => {
  await using rig = await openCacheRig();
  await using cache = new DeltaCache(rig.deps);
  const digests = [
    await rig.keep(cache),
    await rig.keep(cache),
    await rig.keep(cache),
    await rig.keep(cache),
  ];
  assert.equal(await cache.relieve({ bytes: 11, files: 0 }), true);
  assert.equal(cache.index.count, 2);
  assert.equal(await cache.relieve({ bytes: 0, files: 1 }), true);
  assert.deepEqual(
    [...cache.index.byUse()].map(([digest]) => digest),
    digests.slice(3),
  );
});

test('for space, only what was freed counts: not linked content, and nothing while a backup holds files', async () => {
  await using rig = await openCacheRig();
  await using cache = new DeltaCache(rig.deps);
  const digests = [await rig.keep(cache), await rig.keep(cache)];
  await rig.metadata.write(put.link('a', digests[0] as string));
  rig.store.hold.begin('a backup is running', 0);
  assert.equal(await cache.relieve({ bytes: 10, files: 0 }), false);
  assert.equal(cache.index.count, 2);
  rig.store.hold.end();
  assert.equal(await cache.relieve({ bytes: 10, files: 0 }), true);
  assert.deepEqual(
    [...cache.index.byUse()].map(([digest]) => digest),
    digests.slice(0, 1),
  );
  assert.ok(await rig.metadata.blob(digests[0] as string));
  assert.equal(await cache.relieve({ bytes: 10, files: 0 }), false);
});

test('records without content are dropped by one write for each thousand', async () => {
  await using rig = await openCacheRig();
  const lost = Array.from({ length: 1_200 }, absent);
  const facts = { size: 1, used: 1, made: 1 };
  await rig.metadata.write(
    lost.flatMap((digest) => put.delta(digest, { ...deltaTo(absent(), [absent()]), ...facts })),
  );
  const { metadata } = rig;
  let writes = 0;
  const counting = new Proxy(metadata, {
    get: (target, name) => {
      if (name === 'write') writes += 1;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  await using cache = await DeltaCache.open({ ...rig.deps, metadata: counting });
  assert.equal(cache.index.count, 0);
  assert.deepEqual((await metadata.deltasByDigest(lost)).filter(Boolean), []);
  assert.equal(writes, 2);
});

test('an opened cache has the deltas in the order of their last use', async () => {
  await using rig = await openCacheRig();
  const expected: string[] = [];
  {
    await using cache = new DeltaCache(rig.deps);
    for (let i = 0; i < 5; i += 1) expected.push(await rig.keep(cache, 10 + i));
    rig.clock.now += 3_600_000;
    cache.touch(expected[1] as string);
    expected.push(...expected.splice(1, 1));
  }
  await using cache = await DeltaCache.open(rig.deps);
  assert.deepEqual(
    [...cache.index.byUse()].map(([digest]) => digest),
    expected,
  );
  assert.equal(cache.index.bytes, 10 + 11 + 12 + 13 + 14);
});

test('the number of refused pairs is bounded: the oldest are forgotten, also after a start', async () => {
  await using rig = await openCacheRig();
  const { now } = rig.deps;
  const [to, from] = [absent(), Array.from({ length: 5 }, absent)];
  const add = async (pairs: RefusedPairs, base: string) => {
    rig.clock.now += 1;
    await pairs.add({ to, from: [base], format: DELTA_FORMAT, reason: 'poor' });
  };
  const first = await RefusedPairs.open({ metadata: rig.metadata, now }, 3);
  for (const base of from.slice(0, 4)) await add(first, base);
  assert.equal(first.count, 3);
  const second = await RefusedPairs.open({ metadata: rig.metadata, now }, 3);
  await add(second, from[4] as string);
  const left = (await second.of(to, () => true, 10)).flatMap((pair) => pair.from);
  assert.deepEqual(left.toSorted(), from.slice(2).toSorted());
});

test('what one question reads is bounded', async () => {
  await using rig = await openCacheRig();
  const [digest, other] = [absent(), absent()];
  for (const name of ['a', 'b', 'c']) await rig.metadata.write(put.link(name, digest));
  await rig.metadata.write(put.link('d', other));
  const all = await linkingRepositories(rig.metadata, [digest, other], 'b');
  assert.deepEqual([all.get(digest), all.get(other)], [['b'], ['d']]);
  const few = await linkingRepositories(rig.metadata, [digest, other], 'x', 4);
  assert.deepEqual([few.get(digest), few.get(other)], [['a', 'b', 'c'], []]);
});
