import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { COORDINATOR_KEY, LINK_KEY, lease, linkStatus } from '#proto/status/status.ts';
import { passFinished, passStarted } from '#proto/sync/passes.ts';
import { transferFinished, transferStarted } from '#proto/sync/transfers.ts';
import { MAX_REQUEST_BYTES } from '../../../services/syncer/transfer/pieces/piece-sizing.ts';
import { testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../../support/proxy/requests.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../../support/registry/image.ts';
import { slowedRate } from '../../support/until.ts';

const MIB = 1024 * 1024;
const BLOBS = /\/blobs\//;

let cloud: Cloud;
before(async () => {
  cloud = await startCloud();
});
after(() => cloud[Symbol.asyncDispose]());

for (const syncers of process.env.TERRACE_FULL === '1' ? [2, 4] : [3]) {
  test(`${syncers} syncers share the transfers, and no blob is pulled twice`, async () => {
    await using proxy = await startProxy(cloud.url, { bandwidth: { connection: slowedRate(2 * MIB) } });
    let size = 0;
    for (let image = 0; image < 4; image += 1) {
      const layers = Array.from({ length: 10 }, (_, index) => 100_000 * (index + 1) + image);
      const pushed = await pushImage(cloud.url, `shared/${image}`, 'v1', { layers });
      size += [pushed.config, ...pushed.layers].reduce((sum, blob) => sum + blob.size, 0);
    }
    await using layer = await testLayer({ parent: proxy.url, repositories: ['shared/*'], syncers });
    const { failures } = await layer.sync();
    assert.deepEqual(failures, []);
    assert.equal(
      await firstDifference(
        cloud.url,
        layer.url,
        [0, 1, 2, 3].map((image) => `shared/${image}`),
      ),
      undefined,
    );
    assert.equal(proxy.bytesOf(BLOBS), size);
    const activeSyncers = new Set(
      layer.events
        .filter(({ type }) => type === `terrace.${transferFinished.type}`)
        .map(({ data }) => (data as { syncer: string }).syncer),
    );
    assert.equal(activeSyncers.size, syncers);
  });
}

test('after a syncer is killed during a transfer, another syncer resumes its blob', async () => {
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: slowedRate(12 * MIB) } });
  const { layers } = await pushImage(cloud.url, 'taken/over', 'v1', { layers: [28 * MIB] });
  const blob = new RegExp(`/blobs/${layers[0]!.digest}$`);
  await using layer = await testLayer({ parent: proxy.url, repositories: ['taken/*'], syncers: 2 });
  const { syncer } = await layer.event(transferStarted, ({ digest }) => digest === layers[0]!.digest);
  await proxy.until(() => proxy.bytesOf(blob) > 14 * MIB);
  const pid = Number(/^syncer-.*-(\d+)-[0-9a-f]+$/.exec(syncer)?.[1]);
  const program = Object.entries(layer.pids()).find(([, other]) => other === pid)?.[0];
  assert.ok(program, `${syncer} does not run`);
  layer.killWithoutWaiting(program);
  const resumed = await layer.event(
    transferStarted,
    (data) => data.digest === layers[0]!.digest && data.syncer !== syncer,
  );
  assert.ok(resumed.present > 4 * MIB, `${resumed.present} bytes were present`);
  let result = await layer.sync();
  for (let tries = 0; !result.ok && tries < 5; tries += 1) result = await layer.sync();
  assert.deepEqual(result.failures, []);
  assert.equal(await firstDifference(cloud.url, layer.url, ['taken/over']), undefined);
  assert.ok(proxy.bytesOf(blob) <= 28 * MIB + 4 * MAX_REQUEST_BYTES);
  assert.ok(repeatedBytes(proxy.requests, blob) <= 4 * MAX_REQUEST_BYTES);
});

test('a coordinator that takes over keeps the time of the last good pass', async () => {
  await using layer = await testLayer({ parent: cloud.url, repositories: ['none'], syncers: 2 });
  assert.deepEqual((await layer.sync()).failures, []);
  const before = (await layer.bus().get(linkStatus, LINK_KEY))?.value.lastSync;
  const holder = (await layer.bus().get(lease, COORDINATOR_KEY))?.value.holder;
  await cloud.kill();
  process.kill(Number(/-(\d+)-[0-9a-f]+$/.exec(holder ?? '')?.[1]), 'SIGTERM');
  const { pass } = await layer.event(passStarted, ({ coordinator }) => coordinator !== holder);
  await layer.event(passFinished, (data) => data.pass === pass);
  const link = (await layer.bus().get(linkStatus, LINK_KEY))?.value;
  assert.equal(link?.state, 'Offline');
  assert.ok(before && link.lastSync === before);
});
