import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { transferStarted } from '#proto/sync/transfers.ts';
import { testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { pushImage, sameContent } from '../../support/registry/image.ts';
import { patience, slowness } from '../../support/until.ts';

const MIB = 1024 * 1024;
const full = process.env.TERRACE_FULL === '1';
/** So low that a slow machine can keep it; in bytes a second. */
const RATE = 4_000_000 / slowness;
const [WINDOW_MS, WITHIN] = [patience(full ? 5_000 : 1_500), full ? 0.05 : 0.15];
/**
 * A machine that is busy lets some turns pass; were the directions or the syncers to have shares of their own, it is
 * half.
 */
const MIN_SHARE = 0.7;
/** Of both images: more than the window takes. */
const SIZE = (RATE * (WINDOW_MS + 4_000)) / 1_000;

test('the limit holds for two syncers and both directions together, and all of it is used', async (t) => {
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
  proxy.forget();
  const syncing = layer.sync();
  const down = () => proxy.bytesOf(/./);
  const up = () => proxy.requests.reduce((sum, { received }) => sum + received, 0);
  await proxy.until(() => down() > MIB / 2 && up() > MIB / 2);
  const first = { at: performance.now(), down: down(), up: up() };
  await sleep(WINDOW_MS);
  const last = { at: performance.now(), down: down(), up: up() };
  const may = (RATE * (last.at - first.at)) / 1_000;
  const [came, went] = [(last.down - first.down) / may, (last.up - first.up) / may];
  t.diagnostic(`down ${(100 * came).toFixed(1)} % and up ${(100 * went).toFixed(1)} % of the limit`);
  assert.ok(came + went >= MIN_SHARE && came + went <= 1 + WITHIN, `${came + went} of the limit`);
  // A direction whose pieces come late lets turns pass: here neither starves, halves are held by bandwidth.test.ts.
  assert.ok(Math.min(came, went) >= 0.15, `${came} down, ${went} up`);
  assert.deepEqual((await syncing).failures, []);
  assert.equal(await sameContent(cloud.url, layer.url), undefined);
  const busy = layer.events
    .filter(({ type }) => type === `terrace.${transferStarted.type}`)
    .map(({ data }) => (data as { syncer: string }).syncer);
  assert.equal(new Set(busy).size, 2);
});
