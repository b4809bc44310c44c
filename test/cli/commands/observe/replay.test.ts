import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageStatus } from '#proto/status/storage-status.ts';
import { transferProgressed } from '#proto/sync/transfers.ts';
import { testLayer } from '../../../support/layer.ts';
import { startProxy } from '../../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../../support/registry/cloud.ts';
import { pushImage } from '../../../support/registry/image.ts';
import { request } from '../../../support/registry/registry.ts';
import { runCommand } from '../../../support/terrace.ts';
import { slowedRate } from '../../../support/until.ts';

type Output = { transfers: { digest: string; state: string; done: number; size: number }[]; gaps: object[] };

test('transfers that are derived from events agree with storage, after kills of syncer and nats-server', async () => {
  await using cloud = await startCloud();
  await using link = await startProxy(cloud.url, { bandwidth: { total: slowedRate(1_000_000) } });
  await using layer = await testLayer({ parent: link.url, name: 'replayed' });
  const replay = async (): Promise<Output> => {
    const { stdout, code } = await runCommand('replay', '--data', layer.data, '--json');
    assert.equal(code, 0);
    return JSON.parse(stdout);
  };
  const image = await pushImage(cloud.host, 'app', 'v1', { layers: [3_000_000, 200_000, 1_000] });
  const pass = layer.sync().catch(() => undefined);
  await layer.event(transferProgressed, ({ done }) => done > 200_000);
  await layer.kill('syncer-1');
  const midway = await replay();
  const large = midway.transfers.find(({ size }) => size === 3_000_000);
  assert.ok(large && large.state !== 'finished', JSON.stringify(midway));
  link.bandwidth = {};
  layer.killWithoutWaiting('nats-server');
  await pass;
  let synced = false;
  while (!synced) synced = (await layer.sync().catch(() => undefined))?.ok === true;

  const { transfers, gaps } = await replay();
  assert.deepEqual(gaps, []);
  const blobs = [image.config, ...image.layers].map(({ digest }) => digest).sort();
  assert.deepEqual(transfers.map(({ digest }) => digest).sort(), blobs);
  for (const digest of blobs) {
    assert.equal((await request(layer.host, `/v2/app/blobs/${digest}`, { method: 'HEAD' })).status, 200);
  }
  assert.deepEqual((await layer.bus().call(storageStatus, {})).ingests, []);
  assert.deepEqual(
    transfers.filter(({ state, done, size }) => state !== 'finished' || done !== size),
    [],
  );
});
