import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findDeltas, listDeltas } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import type { MakeJob } from '#proto/sync/delta-jobs.ts';
import { MakeEnd } from '../../../services/syncer/delta/jobs/make-end.ts';
import { sharedBuses } from '../../storage/shared-buses.ts';
import { app, DeltaRig, versions } from './delta-rig.ts';

const buses = await sharedBuses();

test('a delta that makes other bytes is reported, counted, and the pair is not tried again', async () => {
  await using rig = await DeltaRig.open(buses);
  const { old, next } = versions();
  const [from, to] = [await rig.push(old), await rig.push(next)];
  const end = new MakeEnd(rig.deps);
  await end.wrong(rig.jobFor(to, [from]) as MakeJob, { from: [from], cpuMs: 7 });
  const types = rig.published.map(([type, body]) => [type, (body as { code?: string }).code]);
  assert.deepEqual(types, [
    ['delta.mismatched', undefined],
    ['delta.failed', 'delta-invalid'],
  ]);
  const { outcomes, makeMs } = rig.counters.metrics;
  assert.deepEqual([outcomes.mismatched, makeMs], [1, 7]);
  const { syncer } = rig.storage;
  const { refused } = await syncer.call(findDeltas, { repository: app, wanted: [to], held: [from] });
  assert.deepEqual(refused, [{ to, from: [from], format: DELTA_FORMAT, reason: 'wrong' }]);
  assert.equal((await rig.make(to, [from])).type, 'delta.failed');
  assert.equal(outcomes.made, 0);
});

test('a delta whose process crashed is made once more before it is reported as failed', async () => {
  await using rig = await DeltaRig.open(buses);
  const { old, next } = versions();
  const [from, to] = [await rig.push(old), await rig.push(next)];
  const end = new MakeEnd(rig.deps);
  const job = rig.jobFor(to, [from]) as MakeJob;
  const crash = new Fault('unavailable', 'the process of the delta crashed', { detail: { crashed: true } });
  const verdict = await end.failed(job, crash);
  assert.ok(typeof verdict === 'object' && verdict.retryMs > 0);
  const query = { repository: app, wanted: [to], held: [from] };
  const { syncer } = rig.storage;
  assert.deepEqual([rig.published, (await syncer.call(findDeltas, query)).refused], [[], []]);
  assert.equal(await end.failed(job, crash), 'done');
  assert.equal(rig.last.type, 'delta.failed');
  assert.equal((await syncer.call(findDeltas, query)).refused.length, 1);
});

test('a delta whose making what passes by itself has ended is made again, and not refused', async () => {
  await using rig = await DeltaRig.open(buses);
  const end = new MakeEnd(rig.deps);
  const job = rig.jobFor(await rig.push(versions().next), [await rig.push(versions().old)]) as MakeJob;
  const restart = new Fault('unavailable', 'storage does not answer');
  const verdicts = [];
  while (rig.published.length === 0) verdicts.push(await end.failed(job, restart));
  assert.ok(verdicts.length > 3 && verdicts.length < 10, `${verdicts.length} attempts`);
  assert.equal(verdicts.pop(), 'done');
  assert.ok(verdicts.every((verdict) => typeof verdict === 'object' && verdict.retryMs > 0));
  assert.equal(rig.last.type, 'delta.failed');
  const { refused } = await rig.storage.syncer.call(listDeltas, { to: [job.to] });
  assert.deepEqual(refused, []);
  const again = await end.failed(job, restart);
  assert.notEqual(again, 'done', 'a later job has as many attempts');
});
