import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { BlobStore } from '../../../services/storage/content/blob-store.ts';
import { Grace } from '../../../services/storage/content/grace.ts';
import { DeltaCache } from '../../../services/storage/deltas/delta-cache.ts';
import { DeltaIndex } from '../../../services/storage/deltas/delta-index.ts';
import { linkingRepositories } from '../../../services/storage/deltas/named-content.ts';
import { RefusedPairs } from '../../../services/storage/deltas/refused-pairs.ts';
import { Metadata, put } from '../../../services/storage/metadata/metadata.ts';
import { quiet } from '../../support/bus.ts';
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

/** Metadata of their own, and a clock. */
async function open() {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-deltas-'));
  const metadata = await Metadata.open(join(folder, 'metadata'));
  const clock = { now: 1_000_000 };
  const now = () => clock.now;
  const [store, grace, locks] = [new BlobStore(folder), new Grace(now), new KeyedLock()];
  const deps = { metadata, store, grace, locks, log: quiet, now };
  const end = async () => {
    await metadata[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  };
  const keep = async (cache: DeltaCache, size = 10) => {
    const digest = absent();
    clock.now += 1;
    await cache.keep({ digest, size }, deltaTo(absent(), [absent()]), undefined, put.blob(digest, { size }));
    return digest;
  };
  return { deps, metadata, grace, clock, keep, [Symbol.asyncDispose]: end };
}

test('the number of deltas is bounded', async () => {
  await using rig = await open();
  await using cache = new DeltaCache(rig.deps, 2);
  cache.limits = { maxBytes: 1_000, leaseMs: 0 };
  const digests = [await rig.keep(cache), await rig.keep(cache), await rig.keep(cache)];
  await cache.trim();
  assert.deepEqual(
    [...cache.index.byUse()].map(([digest]) => digest),
    digests.slice(1),
  );
});

test('a delta that a request in progress holds is evicted after it', async () => {
  await using rig = await open();
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
  await using rig = await open();
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

test('an opened cache has the deltas in the order of their last use', async () => {
  await using rig = await open();
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
  await using rig = await open();
  const { now } = rig.deps;
  const [to, from] = [absent(), Array.from({ length: 5 }, absent)];
  const add = async (pairs: RefusedPairs, base: string) => {
    rig.clock.now += 1;
    await pairs.add({ to, from: [base], format: 1, reason: 'poor' });
  };
  const first = await RefusedPairs.open({ metadata: rig.metadata, now }, 3);
  for (const base of from.slice(0, 4)) await add(first, base);
  assert.equal(first.count, 3);
  const second = await RefusedPairs.open({ metadata: rig.metadata, now }, 3);
  await add(second, from[4] as string);
  const left = (await second.of(to)).flatMap((pair) => pair.from);
  assert.deepEqual(left.toSorted(), from.slice(2).toSorted());
});

test('what one question reads is bounded', async () => {
  await using rig = await open();
  const [digest, other] = [absent(), absent()];
  for (const name of ['a', 'b', 'c']) await rig.metadata.write(put.link(name, digest));
  await rig.metadata.write(put.link('d', other));
  const all = await linkingRepositories(rig.metadata, [digest, other], 'b');
  assert.deepEqual([all.get(digest), all.get(other)], [['b'], ['d']]);
  const few = await linkingRepositories(rig.metadata, [digest, other], 'x', 4);
  assert.deepEqual([few.get(digest), few.get(other)], [['a', 'b', 'c'], []]);
});
