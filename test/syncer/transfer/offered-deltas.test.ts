import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { DeltaWorld } from './delta-world.ts';

/** Transfers in full to which a delta is offered while they run. */

test('a blob that crosses the link in full continues as a delta that is offered, and no byte comes twice', async () => {
  await using world = await DeltaWorld.create();
  const { to, toSize, digest, size } = world.delta;
  let present = 0;
  world.halfway = () => world.offer(world.delta);
  world.applying = async ({ target: { log } }) => {
    present = log.chunks.reduce((sum, { start, end }) => sum + end - start, 0);
  };
  assert.equal(await world.plain(), 'done');
  assert.ok(await world.isHere());
  assert.deepEqual(Object.fromEntries(world.crossed), { [to]: toSize / 2, [digest]: size });
  assert.equal(present, toSize / 2, 'what had arrived is kept');
  const finished = world.events.at(-1);
  assert.equal(finished?.type, 'transfer.finished');
  assert.partialDeepStrictEqual(finished?.data, {
    delta: { digest },
    saved: { by: 'delta', bytes: toSize / 2 - size },
  });
  assert.ok(
    world.types.every((type) => !/failed|paused|delayed/.test(type)),
    world.types.join(),
  );
});

test('if the offered delta fails, the blob continues where it was, and the same delta is not taken again', async () => {
  await using world = await DeltaWorld.create();
  const { to, toSize } = world.delta;
  world.halfway = () => {
    world.halfway = undefined;
    world.offer(world.delta);
  };
  world.applying = () => Promise.reject(new Fault('too-large', 'memory'));
  assert.equal(await world.plain(), 'done');
  assert.ok(await world.isHere());
  assert.equal(world.crossed.get(to), toSize);
  assert.equal(world.applied, 1);
  assert.equal(world.events.at(-1)?.data.saved, undefined);
});
