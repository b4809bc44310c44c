import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { transferStarted } from '#proto/sync/transfers.ts';
import { testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../../support/registry/image.ts';
import { patience, slowness } from '../../support/until.ts';

const MIB = 1024 * 1024;
const full = process.env.TERRACE_FULL === '1';
/** Low enough for a slow machine, in bytes/s. */
const RATE = 4_000_000 / slowness;
const [MEASURE_MS, TOLERANCE] = [patience(full ? 5_000 : 1_500), full ? 0.05 : 0.15];
/**
 * A busy machine misses some turns. If the directions or the syncers had shares of their own, the result would be half.
 */
const MIN_SHARE = 0.7;
/** Size of both images, in bytes: more than the measurement takes. */
const SIZE = (RATE * (MEASURE_MS + 4_000)) / 1_000;

test('two syncers and both directions together use the limit fully and do not exceed it', async (t) => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  const options = {
    mode: 'ReadWrite' as const,
    syncers: 2,
    bandwidth: `${Math.round((8 * RATE) / 1_000)}kbit`,
  };
  await using layer = await testLayer({ ...options, parent: proxy.url });
  const layers = Array.from({ length: 4 }, () => Math.ceil(SIZE / 8));
  await pushImage(cloud.url, 'down', 'v1', { layers });
  await pushImage(layer.url, 'up', 'v1', { layers });
  proxy.clearRequests();
  const down = () => proxy.bytesOf(/./);
  const up = () => proxy.requests.reduce((sum, { received }) => sum + received, 0);
  // Downloads are held until both directions have begun: a late one could miss the other.
  const begun = Promise.withResolvers<void>();
  const isDown = ({ path }: { path: string }) => path.startsWith('/v2/down/blobs/');
  const downAsked = () => proxy.requests.some(isDown);
  proxy.fault((request) => (isDown(request) ? { hold: begun.promise } : undefined));
  const syncing = layer.sync();
  await proxy.until(() => downAsked() && up() > MIB / 2);
  begun.resolve();
  await proxy.until(() => down() > MIB / 2 && up() > MIB / 2);
  const first = { at: performance.now(), down: down(), up: up() };
  await sleep(MEASURE_MS);
  const last = { at: performance.now(), down: down(), up: up() };
  const allowed = (RATE * (last.at - first.at)) / 1_000;
  const [downShare, upShare] = [(last.down - first.down) / allowed, (last.up - first.up) / allowed];
  t.diagnostic(`down ${(100 * downShare).toFixed(1)} % and up ${(100 * upShare).toFixed(1)} % of the limit`);
  const share = downShare + upShare;
  assert.ok(share >= MIN_SHARE && share <= 1 + TOLERANCE, `${share} of the limit`);
  // Neither direction starves. Late pieces miss turns, so shares vary: bandwidth.test.ts asserts equal halves.
  assert.ok(Math.min(downShare, upShare) > 0, `${downShare} down, ${upShare} up`);
  assert.deepEqual((await syncing).failures, []);
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);
  const syncers = layer.events
    .filter(({ type }) => type === `terrace.${transferStarted.type}`)
    .map(({ data }) => (data as { syncer: string }).syncer);
  assert.equal(new Set(syncers).size, 2);
});
