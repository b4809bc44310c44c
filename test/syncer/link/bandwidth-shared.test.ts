import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transferStarted } from '#proto/transfers.ts';
import { startCloud } from '../../support/cloud.ts';
import { startProxy } from '../../support/fault-proxy.ts';
import { pushImage, sameContent } from '../../support/image.ts';
import { testLayer } from '../../support/layer.ts';
import { patience, slowness } from '../../support/patience.ts';

const full = process.env.TERRACE_FULL === '1';
/** So low that a slow machine can keep it; in bytes a second. */
const RATE = 4_000_000 / slowness;
const WITHIN = full ? 0.05 : 0.15;
/** A busy machine lets some turns pass. */
const LEAST = 0.7;
/**
 * Layers of the image that goes each way. With a limit for each direction, 1.25 of the limit would be used; with fixed
 * halves, 0.63.
 */
const LAYERS = { down: 4, up: 1 };
/** Size of a layer, in bytes. */
const LAYER = (RATE * patience(full ? 5_000 : 3_000)) / 1_000 / (LAYERS.down + LAYERS.up);

test('the limit holds for two syncers and both directions together, and all of it is used', async (t) => {
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
  proxy.forget();
  const bytes = () => proxy.requests.reduce((sum, { bytes, received }) => sum + bytes + received, 0);
  const syncing = layer.sync();
  // The whole sync is measured: in a part of it, bytes in the buffers of sockets would count as sent.
  await proxy.until(() => proxy.bytesOf(/\/blobs\//) > 0);
  const first = { at: performance.now(), bytes: bytes() };
  assert.deepEqual((await syncing).failures, []);
  const share = (bytes() - first.bytes) / ((RATE * (performance.now() - first.at)) / 1_000);
  t.diagnostic(`${(100 * share).toFixed(1)} % of the limit`);
  assert.ok(share >= LEAST && share <= 1 + WITHIN, `${share} of the limit`);
  assert.equal(await sameContent(cloud.url, layer.url), undefined);
  const busy = layer.events
    .filter(({ type }) => type === `terrace.${transferStarted.type}`)
    .map(({ data }) => (data as { syncer: string }).syncer);
  assert.equal(new Set(busy).size, 2);
});
