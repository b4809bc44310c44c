import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listArriving } from '#proto/content/arriving.ts';
import { listDeltas } from '#proto/content/deltas.ts';
import { claimTransfer } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { DeltaWorld, repository } from './delta-world.ts';

/** Transfers with a delta: it crosses the link, and is applied. If any of that fails, the blob itself crosses. */

const unknown = (digest: Digest) => {
  throw new Fault('blob-unknown', `${digest} is not here`);
};

test('the delta crosses the link, is kept for the layers below, and makes the blob', async () => {
  await using world = await DeltaWorld.create();
  const { digest, size, to } = world.delta;
  const listed: unknown[] = [];
  world.answering = () => void world.rig.gateway.call(listArriving, {}).then((answer) => listed.push(answer));
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.deepEqual([...world.crossed], [[digest, size]]);
  assert.deepEqual(world.types, [
    'transfer.started',
    'transfer.progressed',
    'delta.applied',
    'transfer.finished',
  ]);
  const finished = world.events.at(-1)?.data;
  assert.deepEqual(finished?.delta, { digest, size });
  assert.equal(finished?.digest, to);
  assert.deepEqual(finished?.saved, { by: 'delta', bytes: 550_000, cpuMs: 7 });
  assert.deepEqual(world.counters.down.saved.delta, { transfers: 1, bytes: 550_000, cpuMs: 7 });
  assert.equal(world.counters.deltas.metrics.outcomes.applied, 1);
  assert.equal(world.counters.down.bytes.new, size);
  const { deltas } = await world.rig.syncer.call(listDeltas, { to: [to] });
  assert.deepEqual(
    deltas.map((one) => one.digest),
    [digest],
  );
  assert.partialDeepStrictEqual(listed, [{ blobs: [], deltas: [{ digest, repository, delta: { to } }] }]);
});

test('what failed after the delta had arrived is repeated without the link', async () => {
  await using world = await DeltaWorld.create();
  world.applying = () => {
    world.stop.abort(new Error('the process ends'));
    throw world.stop.signal.reason;
  };
  assert.deepEqual(await world.run(), { retryMs: 0 });
  assert.ok(!(await world.isHere()));
  assert.ok(await world.isHere(world.delta.digest));
  world.stop = new AbortController();
  world.applying = undefined;
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.deepEqual([...world.crossed], [[world.delta.digest, world.delta.size]]);
});

test('a delta that the parent no longer has is no failure: the blob itself crosses the link', async () => {
  await using world = await DeltaWorld.create();
  world.answering = (digest) => digest === world.delta.digest && unknown(digest);
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.deepEqual([...world.crossed], [[world.delta.to, world.delta.toSize]]);
  const finished = world.events.at(-1);
  assert.equal(finished?.type, 'transfer.finished');
  assert.equal(finished?.data.delta, undefined);
  assert.equal(finished?.data.saved, undefined);
  assert.ok(!world.types.includes('transfer.failed'));
});

test('a delta that makes other bytes is reported and not used again, and the blob itself crosses the link', async () => {
  await using world = await DeltaWorld.create();
  world.applying = () => Promise.reject(new Fault('delta-invalid', 'other bytes'));
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.equal(world.crossed.get(world.delta.to), world.delta.toSize);
  assert.ok(world.types.includes('delta.mismatched'));
  assert.equal(world.counters.deltas.metrics.outcomes.mismatched, 1);
  const { deltas, refused } = await world.rig.syncer.call(listDeltas, { to: [world.delta.to] });
  assert.deepEqual(deltas, []);
  assert.partialDeepStrictEqual(refused, [{ to: world.delta.to, reason: 'wrong' }]);
});

test('a delta that takes too much memory is not held against the pair', async () => {
  await using world = await DeltaWorld.create();
  world.applying = () => Promise.reject(new Fault('too-large', 'memory'));
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.ok(!world.types.includes('delta.mismatched'));
  assert.deepEqual(world.counters.deltas.metrics.failures, { 'too-large': 1 });
  const { refused } = await world.rig.syncer.call(listDeltas, { to: [world.delta.to] });
  assert.deepEqual(refused, []);
});

test('a prefetch of a delta leaves the blob to the pass if it fails', async () => {
  await using world = await DeltaWorld.create();
  world.answering = (digest) => digest === world.delta.digest && unknown(digest);
  assert.equal(await world.prefetch(), 'done');
  assert.ok(!(await world.isHere()));
  assert.equal(world.types.at(-1), 'transfer.failed');
});

test('while another one has the ingest of the delta or of the blob, the job is put back', async () => {
  for (const which of ['delta', 'target'] as const) {
    await using world = await DeltaWorld.create();
    const { digest, size, ...delta } = world.delta;
    const query = which === 'delta' ? { digest, size, delta } : { digest: delta.to, size: delta.toSize };
    await world.rig.syncer.call(claimTransfer, { ...query, by: 'other' });
    const verdict = await world.run();
    assert.ok(typeof verdict === 'object' && verdict.retryMs > 0);
    assert.deepEqual([world.applied, world.crossed.size], [0, 0]);
  }
});

test('a window that closes does not end an application', async () => {
  await using world = await DeltaWorld.create();
  const until = Date.now() + 300;
  world.applying = async () => {
    while (Date.now() <= until + 50) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  assert.equal(await world.run(until), 'done');
  assert.equal(world.types.at(-1), 'transfer.finished');
  assert.ok(await world.isHere());
});

test('a volume that is full for a moment costs neither the bytes of the delta nor its application', async () => {
  await using world = await DeltaWorld.create();
  world.breaking = new Fault('no-space', 'the data volume is full');
  world.applying = async () => {
    if (world.applied === 1) throw new Fault('no-space', 'the data volume is full');
  };
  assert.equal(await world.run(), 'done');
  assert.equal(world.applied, 2);
  assert.deepEqual([...world.crossed], [[world.delta.digest, world.delta.size]]);
  const delayed = world.events.filter(({ type }) => type === 'transfer.delayed').map(({ data }) => data.code);
  assert.deepEqual(delayed, ['no-space', 'no-space']);
  assert.ok(!world.types.includes('delta.failed'));
});

test('a delta whose process crashed is applied once more, and then the blob itself crosses the link', async () => {
  for (const [crashes, applied] of [
    [1, 2],
    [9, 2],
  ] as const) {
    await using world = await DeltaWorld.create();
    world.applying = async () => {
      if (world.applied > crashes) return;
      throw new Fault('unavailable', 'the process of the delta crashed', { detail: { crashed: true } });
    };
    assert.equal(await world.run(), 'done');
    assert.equal(world.applied, applied);
    assert.ok(await world.isHere());
    const isFailed = crashes > 1;
    assert.equal(world.types.includes('delta.failed'), isFailed);
    assert.equal(world.crossed.has(world.delta.to), isFailed);
  }
});

test('a delta that does not come after all attempts is replaced by the blob, and is not tried again at once', async () => {
  await using world = await DeltaWorld.create();
  const detail = { retryAfterMs: 60 * 60_000 };
  let asked = 0;
  world.answering = (digest) => {
    if (digest === world.delta.digest) asked += 1;
    throw new Fault('parent-unreachable', 'the parent answers 503', { detail });
  };
  assert.equal(await world.run(), 'done');
  assert.equal(world.types.at(-1), 'transfer.failed');
  assert.ok(asked > 0);
  asked = 0;
  world.answering = (digest) => {
    if (digest === world.delta.digest) asked += 1;
  };
  assert.equal(await world.run(), 'done');
  assert.equal(asked, 0);
  assert.deepEqual([...world.crossed], [[world.delta.to, world.delta.toSize]]);
  assert.equal(world.types.at(-1), 'transfer.finished');
});

test('what a killed process had received, copied, or made by a delta is counted as that', async () => {
  await using world = await DeltaWorld.create();
  await world.leave([0, 100_000], [100_000, 400_000, 'frames']);
  assert.equal(await world.plain(), 'done');
  assert.ok(await world.isHere());
  assert.deepEqual([...world.crossed], [[world.delta.to, 200_000]]);
  const { reused, new: fresh, again } = world.counters.down.bytes;
  assert.deepEqual([reused, fresh, again], [100_000, 200_000, 0]);
  assert.partialDeepStrictEqual(world.events[0], {
    type: 'transfer.started',
    data: { present: 400_000, made: 300_000 },
  });
  assert.deepEqual(world.events.at(-1)?.data.saved, { by: 'frames', bytes: 300_000 });
  assert.equal(world.counters.down.saved.frames.bytes, 300_000);
});

test('a delta saves what neither it nor parts of the blob brought, over a kill of its application', async () => {
  await using world = await DeltaWorld.create();
  await world.leave([0, 100_000], [200_000, 300_000, 'delta']);
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.partialDeepStrictEqual(world.events.at(-1)?.data.saved, { by: 'delta', bytes: 450_000 });
});

test('what a delta made before it failed is saved, apart from its own bytes', async () => {
  await using world = await DeltaWorld.create();
  await world.leave([200_000, 300_000, 'delta']);
  world.applying = () => Promise.reject(new Fault('too-slow', 'time'));
  assert.equal(await world.run(), 'done');
  assert.equal(world.crossed.get(world.delta.to), 500_000);
  assert.deepEqual(world.events.at(-1)?.data.saved, { by: 'delta', bytes: 50_000 });
});

test('wrong bytes that a killed process had made here are replaced, and nothing else comes again', async () => {
  for (const by of ['frames', 'delta'] as const) {
    await using world = await DeltaWorld.create();
    world.isMadeWrong = true;
    await world.leave([0, 100_000], [100_000, 400_000, by]);
    assert.equal(await world.plain(), 'done');
    assert.ok(await world.isHere());
    assert.deepEqual([...world.crossed], [[world.delta.to, 500_000]]);
    assert.equal(world.events.at(-1)?.data.saved, undefined);
  }
});
