import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { locateBlob } from '#proto/content/blobs.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { deltaFailed, deltaJob, deltaMade } from '#proto/sync/delta-jobs.ts';
import { Client, digestOf } from '../../storage/rig.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';
import { app, versions, workers } from './delta-rig.ts';

const noParent = { parent: undefined } as unknown as Partial<Configuration>;

test('any syncer takes jobs for deltas, also in a layer without a parent', async () => {
  await using rig = await SyncerRig.start('http://127.0.0.1:1', noParent, ['one']);
  const { bus, data } = rig.layer;
  const client = new Client(bus, data, 'gateway-1');
  const { old, next } = versions();
  const [from, to] = [await client.push(app, old), await client.push(app, next)];
  const outcomes: [string, string, string][] = [];
  bus.listen(deltaMade, ({ data: made }) => outcomes.push(['made', made.to, made.syncer]));
  bus.listen(deltaFailed, ({ data: failed }) => outcomes.push([failed.code, failed.to, failed.syncer]));
  const job = { kind: 'make', repository: app, toSize: next.length, reason: 'asked' } as const;
  await bus.submit(deltaJob.make, { ...job, to, candidates: [from] });
  await until(() => outcomes.length === 1);
  await bus.submit(deltaJob.make, { ...job, to: from, candidates: [`sha256:${'0'.repeat(64)}`] });
  await until(() => outcomes.length === 2);
  assert.deepEqual(outcomes, [
    ['made', to, 'one'],
    ['blob-unknown', from, 'one'],
  ]);
});

test('a delta that a child pushed does not wait for deltas that are made', async () => {
  await using rig = await SyncerRig.start('http://127.0.0.1:1', noParent, ['one']);
  const { bus, data } = rig.layer;
  const client = new Client(bus, data, 'gateway-1');
  const { old, next } = versions();
  const [from, to] = [await client.push(app, old), await client.push(app, next)];
  const { path } = await client.call(locateBlob, { repository: app, digest: from });
  await rm(join(data, path));
  // Who opens it waits for ever.
  execFileSync('mkfifo', [join(data, path)]);
  const failed: string[] = [];
  bus.listen(deltaFailed, ({ data: { job, code } }) => void failed.push(`${job} ${code}`));
  const job = { kind: 'make', repository: app, to, toSize: next.length, reason: 'asked' } as const;
  await bus.submit(deltaJob.make, { ...job, candidates: [from] });
  await until(async () => (await workers()).length === 1, 'the syncer makes a delta');
  const about = { to: digestOf(Buffer.from('absent')), toSize: 1, from: [from], cpuMs: 0 };
  const delta = {
    ...about,
    format: DELTA_FORMAT,
    kind: 'raw' as const,
    digest: digestOf(Buffer.from('none')),
    size: 1,
  };
  await bus.submit(deltaJob.apply, { kind: 'apply', repository: app, delta });
  await until(() => failed.length > 0);
  assert.deepEqual(failed, ['apply blob-unknown']);
});
