import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { findDeltas } from '#proto/content/deltas.ts';
import { pack } from '#proto/contract/contract.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { DeltaCache } from '../../../services/storage/deltas/delta-cache.ts';
import { Deltas } from '../../../services/storage/deltas/deltas.ts';
import { RefusedPairs } from '../../../services/storage/deltas/refused-pairs.ts';
import { put } from '../../../services/storage/metadata/metadata.ts';
import { openCacheRig } from './cache-rig.ts';
import { absent, deltaTo } from './delta-rig.ts';

/** What one question about deltas costs, and how long its answer is. */

function open({ deps }: Awaited<ReturnType<typeof openCacheRig>>, deltaCache: DeltaCache) {
  const pairs = new RefusedPairs({ metadata: deps.metadata, now: deps.now });
  const age = { wallOf: (instant: number) => instant };
  return { pairs, deltas: new Deltas({ ...deps, deltaCache, refusedPairs: pairs, age }) };
}

test('of the refused pairs of a blob, the newest whose bases the asker holds are answered, up to 64', async () => {
  await using rig = await openCacheRig();
  await using cache = new DeltaCache(rig.deps);
  const { deltas, pairs } = open(rig, cache);
  const [to, other] = [absent(), absent()];
  await rig.metadata.write([...put.link('a', to), ...put.link('a', other)]);
  const held = Array.from({ length: 70 }, absent);
  const add = async (from: string) => {
    rig.clock.now += 1;
    await pairs.add({ to, from: [from], format: DELTA_FORMAT, reason: 'poor' });
  };
  for (const from of held) await add(from);
  for (let i = 0; i < 200; i += 1) await add(absent());
  const { refused } = await deltas.find({ repository: 'a', wanted: [to], held });
  const newest = held.toReversed();
  assert.deepEqual(
    refused.flatMap(({ from }) => from),
    newest.slice(0, 64),
  );
  const wanted = [to, ...Array.from({ length: 99 }, absent)];
  const few = await deltas.find({ repository: 'a', wanted, held });
  assert.deepEqual(
    few.refused.flatMap(({ from }) => from),
    newest.slice(0, 4),
  );
});

test('the longest answer fits into a message', async () => {
  await using rig = await openCacheRig();
  await using cache = new DeltaCache(rig.deps);
  const { deltas, pairs } = open(rig, cache);
  const digest = () => `sha512:${randomBytes(64).toString('hex')}`;
  const name = (i: number) => `${i}`.padEnd(255, 'a');
  const [wanted, held] = [100, 500].map((length) => Array.from({ length }, digest)) as [string[], string[]];
  const repository = name(9);
  const size = 2 ** 40;
  const changes = wanted.flatMap((to) => put.link(repository, to));
  for (const [i, base] of held.entries()) {
    changes.push(...put.blob(base, { size }));
    const linking = i < 100 ? [repository] : [name(1), name(2), name(3), name(4)];
    for (const one of linking) changes.push(...put.link(one, base));
  }
  await rig.metadata.write(changes);
  for (const [i, to] of wanted.entries()) {
    for (let j = 0; j < 4; j += 1) {
      const from = held.slice(4 * (i + j), 4 * (i + j) + 4);
      await pairs.add({ to, from, format: DELTA_FORMAT, reason: 'wrong' });
      const kept = digest();
      const record = { ...deltaTo(to, from), toSize: size, cpuMs: 2 ** 40 };
      await cache.keep({ digest: kept, size }, record, undefined, put.blob(kept, { size }));
    }
  }
  const found = await deltas.find({ repository, wanted, held, elsewhere: true });
  assert.deepEqual([found.deltas.length, found.refused.length, found.bases.length], [400, 400, 500]);
  const named = (count: number) => found.bases.filter((base) => base.repositories.length === count).length;
  assert.deepEqual([named(1), named(4)], [101, 64]);
  assert.ok(pack(findDeltas.reply, found).byteLength > 700_000);
});

test('repositories other than the asked one are searched only on request', async () => {
  await using rig = await openCacheRig();
  await using cache = new DeltaCache(rig.deps);
  const { deltas } = open(rig, cache);
  const [own, other] = [absent(), absent()];
  await rig.metadata.write([own, other].flatMap((digest) => put.blob(digest, { size: 1 })));
  await rig.metadata.write([...put.link('a', own), ...put.link('b', other)]);
  const named = async (elsewhere?: boolean) => {
    const query = { repository: 'a', wanted: [], held: [own, other], ...(elsewhere && { elsewhere }) };
    return (await deltas.find(query)).bases.map(({ repositories }) => repositories);
  };
  assert.deepEqual(await named(), [['a'], []]);
  assert.deepEqual(await named(true), [['a'], ['b']]);
});
