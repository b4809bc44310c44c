import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration } from '#proto/document/configuration.ts';
import { deltaFailed, deltaJob, deltaMade } from '#proto/sync/delta-jobs.ts';
import { Client } from '../../storage/rig.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';
import { app, versions } from './delta-rig.ts';

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
  await bus.submit(deltaJob, { ...job, to, candidates: [from] });
  await until(() => outcomes.length === 1);
  await bus.submit(deltaJob, { ...job, to: from, candidates: [`sha256:${'0'.repeat(64)}`] });
  await until(() => outcomes.length === 2);
  assert.deepEqual(outcomes, [
    ['made', to, 'one'],
    ['blob-unknown', from, 'one'],
  ]);
});
