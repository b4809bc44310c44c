import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transferStarted } from '#proto/sync/transfers.ts';
import { testLayer } from '../../../support/layer.ts';
import { startProxy } from '../../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../../../support/registry/image.ts';
import { patience, slowness } from '../../../support/until.ts';

const full = process.env.TERRACE_FULL === '1';
/** Low enough for a slow machine, in bytes/s. */
const RATE = 4_000_000 / slowness;
const TOLERANCE = full ? 0.05 : 0.15;
/** A busy machine misses some turns. */
const MIN_SHARE = 0.7;
/** Number of layers in each direction. A limit for each direction would give 1.25 of the limit; fixed halves, 0.63. */
const LAYERS = { down: 4, up: 1 };
/** Size of a layer, in bytes. */
const LAYER = (RATE * patience(full ? 5_000 : 3_000)) / 1_000 / (LAYERS.down + LAYERS.up);

test('two syncers and both directions together use the limit fully and do not exceed it', async (t) => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  const options = {
    mode: 'ReadWrite' as const,
    syncers: 2,
    bandwidth: `${Math.round((8 * RATE) / 1_000)}kbit`,
  };
  await using layer = await testLayer({ ...options, parent: proxy.url });
  const layers = (count: number) => Array.from({ length: count }, () => Math.ceil(LAYER));
  await pushImage(cloud.url, 'down', 'v1', { layers: layers(LAYERS.down) });
  await pushImage(layer.url, 'up', 'v1', { layers: layers(LAYERS.up) });
  proxy.clearRequests();
  const bytes = () => proxy.requests.reduce((sum, { bytes, received }) => sum + bytes + received, 0);
  const syncing = layer.sync();
  // The whole sync: a part of it cannot be measured, as the bytes in socket buffers count as sent.
  await proxy.until(() => proxy.bytesOf(/\/blobs\//) > 0);
  const first = { at: performance.now(), bytes: bytes() };
  assert.deepEqual((await syncing).failures, []);
  const share = (bytes() - first.bytes) / ((RATE * (performance.now() - first.at)) / 1_000);
  t.diagnostic(`${(100 * share).toFixed(1)} % of the limit`);
  assert.ok(share >= MIN_SHARE && share <= 1 + TOLERANCE, `${share} of the limit`);
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);
  const syncers = layer.events
    .filter(({ type }) => type === `terrace.${transferStarted.type}`)
    .map(({ data }) => (data as { syncer: string }).syncer);
  assert.equal(new Set(syncers).size, 2);
});
