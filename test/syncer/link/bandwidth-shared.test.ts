import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { transferStarted } from '#proto/transfers.ts';
import { startCloud } from '../../support/cloud.ts';
import { startProxy } from '../../support/fault-proxy.ts';
import { pushImage, sameContent } from '../../support/image.ts';
import { testLayer } from '../../support/layer.ts';

const MIB = 1024 * 1024;
const full = process.env.TERRACE_FULL === '1';
/** 16 Mbit. */
const RATE = 2_000_000;
const [WINDOW_MS, WITHIN] = full ? [10_000, 0.05] : [3_000, 0.15];
const SIZE = (RATE * (WINDOW_MS + 2_000)) / 1_000;

test('the limit holds for two syncers together, and all of it is used', async (t) => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  const layers = Array.from({ length: 4 }, () => Math.ceil(SIZE / 4));
  await pushImage(cloud.url, 'a', 'v1', { layers });
  const options = { repositories: ['*'], syncers: 2, bandwidth: '16Mbit' };
  await using layer = await testLayer({ ...options, parent: proxy.url });
  const come = () => proxy.bytesOf(/./);
  await proxy.until(() => come() > MIB);
  const samples: { at: number; bytes: number }[] = [];
  for (const end = performance.now() + WINDOW_MS; performance.now() < end; await sleep(50)) {
    samples.push({ at: performance.now(), bytes: come() });
  }
  const [first, last] = [samples[0]!, samples.at(-1)!];
  const used = (last.bytes - first.bytes) / ((RATE * (last.at - first.at)) / 1_000);
  t.diagnostic(`${(100 * used).toFixed(1)} % of the limit in ${Math.round(last.at - first.at)} ms`);
  assert.ok(Math.abs(used - 1) <= WITHIN, `${used} of the limit`);
  assert.deepEqual((await layer.sync()).failures, []);
  await sameContent(cloud.url, layer.url);
  const busy = layer.events
    .filter(({ type }) => type === `terrace.${transferStarted.type}`)
    .map(({ data }) => (data as { syncer: string }).syncer);
  assert.equal(new Set(busy).size, 2);
});
