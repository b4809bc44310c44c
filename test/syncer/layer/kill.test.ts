import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { MAX_REQUEST_BYTES } from '../../../services/syncer/transfer/pieces/piece-sizing.ts';
import { testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../../support/proxy/requests.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../../support/registry/image.ts';
import { random } from '../../support/time/random.ts';
import { slowedRate, until } from '../../support/until.ts';

const MIB = 1024 * 1024;
const full = process.env.TERRACE_FULL === '1';
const SIZE = full ? 1024 * MIB : 72 * MIB;
const ROUNDS = full ? 4 : 1;
const CONNECTIONS = 4;

test('no chunk is requested again after syncer, storage, nats-server and parent are killed during a transfer', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  const next = random(seed);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url, {
    bandwidth: { total: slowedRate((full ? 24 : 16) * MIB) },
  });
  const { layers } = await pushImage(cloud.url, 'big', 'v1', { layers: [SIZE] });
  const blob = new RegExp(`/blobs/${layers[0]!.digest}$`);
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], connections: CONNECTIONS });

  const kills = {
    'syncer-1': () => layer.killWithoutWaiting('syncer-1'),
    storage: () => layer.killWithoutWaiting('storage'),
    'nats-server': () => layer.killWithoutWaiting('nats-server'),
    parent: async () => {
      await cloud.kill();
      await cloud.restart();
    },
  };
  const order = Array.from({ length: ROUNDS }, () => Object.entries(kills)).flat();
  let killCount = 0;
  for (const [index, [name, kill]] of order.entries()) {
    const at = ((index + 0.2 + 0.6 * next()) / order.length) * SIZE;
    await proxy.until(() => proxy.bytesOf(blob) >= at, 120_000);
    t.diagnostic(`${name} killed at ${Math.round(proxy.bytesOf(blob) / MIB)} MiB`);
    await kill();
    killCount += 1;
  }
  let result = await layer.sync();
  for (let tries = 0; !result.ok && tries < 5; tries += 1) result = await layer.sync();
  assert.deepEqual(result.failures, []);
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);

  const bytes = proxy.bytesOf(blob);
  const repeated = repeatedBytes(proxy.requests, blob);
  t.diagnostic(
    `${killCount} kills, ${bytes - SIZE} bytes above the size, ${repeated} of them requested again`,
  );
  assert.ok(bytes >= SIZE);
  assert.ok(
    bytes <= SIZE + killCount * CONNECTIONS * MAX_REQUEST_BYTES,
    `${bytes} bytes for a blob of ${SIZE}`,
  );
  assert.deepEqual(await readdir(join(layer.data, 'ingest')), []);
  // A job whose worker or queue was killed is delivered once more, and its blob is already present.
  await until(async () => (await layer.bus().backlog('down')) === 0, 'no jobs are left in the queue');
});
