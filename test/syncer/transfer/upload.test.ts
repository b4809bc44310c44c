import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { locateBlob } from '#proto/content/blobs.ts';
import { transferFinished, transferPaused } from '#proto/sync/transfers.ts';
import { pushTree } from '../../../services/syncer/reconcile/push/push-tree.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../support/proxy/fault-proxy.ts';
import { firstDifference, pushBlob, pushImage } from '../../support/registry/image.ts';
import { pushContext, pushNewTag } from '../../support/sender.ts';
import { patience, slowedRate } from '../../support/until.ts';

/** Interrupted uploads to a Terrace. Pieces have 4 MiB at most. */
const MIB = 1024 * 1024;
const PIECE = 4 * MIB;
let parent: TestLayer;
let proxy: FaultProxy;
let layer: TestLayer;

before(async () => {
  parent = await testLayer({ compact: 'hosted' });
  proxy = await startProxy(parent.url);
  layer = await testLayer({
    parent: proxy.url,
    mode: 'ReadWrite',
    env: { TERRACE_STALL_MS: String(patience(1_000)) },
  });
  // Otherwise, the layer's first pass might push the content of the first test, too.
  await layer.sync();
});

after(async () => {
  await layer?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await parent?.[Symbol.asyncDispose]();
});

/** Bytes of content that the parent received. */
const received = (through: FaultProxy, repository: string) =>
  through.requests
    .filter(({ path }) => path.startsWith(`/v2/${repository}/blobs/uploads/`))
    .reduce((sum, seen) => sum + seen.received, 0);

test('an upload that is cut within a piece continues at the next byte', async () => {
  const SIZE = 16 * MIB;
  proxy.bandwidth = { total: slowedRate(8 * MIB) };
  const { digest } = await pushImage(layer.url, 'cut', 'v1', { layers: [SIZE] });
  await using up = await pushContext(layer, { url: proxy.url });
  const sending = pushNewTag(up, 'cut', digest, 'v1');
  let cuts = 0;
  for (const at of [3 * MIB, 9 * MIB]) {
    await proxy.until(() => received(proxy, 'cut') >= at);
    await proxy.down();
    await proxy.up();
    cuts += 1;
  }
  await sending;
  proxy.bandwidth = {};
  assert.equal(await firstDifference(layer.url, parent.url, ['cut']), undefined);
  const extra = received(proxy, 'cut') - SIZE;
  // Only bytes in flight when the link is cut are lost.
  assert.ok(extra < cuts * MIB, `${extra} bytes above the size after ${cuts} cuts`);
});

test('after a syncer is killed during an upload, bytes that the parent has are not sent again', async () => {
  const SIZE = 20 * MIB;
  proxy.bandwidth = { total: slowedRate(4 * MIB) };
  const { digest } = await pushImage(layer.url, 'killed', 'v1', { layers: [SIZE] });
  await using up = await pushContext(layer, { url: proxy.url });
  const sending = pushNewTag(up, 'killed', digest, 'v1');
  await proxy.until(() => received(proxy, 'killed') >= 7 * MIB);
  layer.killWithoutWaiting('syncer-1');
  proxy.bandwidth = { total: 16 * MIB };
  await sending;
  proxy.bandwidth = {};
  assert.equal(await firstDifference(layer.url, parent.url, ['killed']), undefined);
  assert.ok(received(proxy, 'killed') <= SIZE + PIECE);
});

test('an upload stops when the window closes, and the next one continues it', async () => {
  const SIZE = 28 * MIB;
  const { digest, layers } = await pushImage(layer.url, 'window', 'v1', { layers: [SIZE] });
  const windowMs = patience(2_500);
  proxy.bandwidth = { total: (16 * MIB * 1_000) / windowMs };
  const until = Date.now() + windowMs;
  {
    await using up = await pushContext(layer, { url: proxy.url }, { until });
    await assert.rejects(pushTree(up, 'window', digest), { code: 'window-closed' });
    await layer.event(transferPaused, (data) => data.digest === layers[0]!.digest);
  }
  const before = received(proxy, 'window');
  assert.ok(before > 0 && before < SIZE, `${before} bytes`);
  proxy.bandwidth = {};
  await using up = await pushContext(layer, { url: proxy.url });
  await pushNewTag(up, 'window', digest, 'v1');
  assert.equal(await firstDifference(layer.url, parent.url, ['window']), undefined);
  assert.ok(received(proxy, 'window') <= SIZE + MIB, 'received bytes were sent again');
});

test('a blob that the parent received with another digest is sent again, as a whole, and then refused', async () => {
  const wrong = { status: 400, body: '{"errors":[{"code":"DIGEST_INVALID","message":"other content"}]}' };
  for (const [repository, times] of [
    ['again', 1],
    ['never', 9],
  ] as const) {
    let left: number = times;
    const { digest } = await pushImage(layer.url, repository, 'v1', { layers: [100_000] });
    proxy.fault(({ method, path }) => {
      if (method !== 'PUT' || !path.startsWith(`/v2/${repository}/blobs/uploads/`) || left === 0) return;
      left -= 1;
      return { answer: wrong };
    });
    await using up = await pushContext(layer, { url: proxy.url });
    const sending = pushNewTag(up, repository, digest, 'v1');
    if (times === 1) {
      await sending;
      assert.equal(await firstDifference(layer.url, parent.url, [repository]), undefined);
    } else await assert.rejects(sending, { code: 'parent-refused', message: /DIGEST_INVALID/ });
  }
  proxy.fault();
});

test('a blob that is damaged here is not reported as a fault of the parent', async () => {
  const { digest, layers } = await pushImage(layer.url, 'damaged', 'v1', { layers: [100_000] });
  await using up = await pushContext(layer, { url: proxy.url });
  const located = await up.bus.call(locateBlob, { repository: 'damaged', digest: layers[0]!.digest });
  const file = join(layer.data, located.path);
  const bytes = await readFile(file);
  bytes[50_000]! ^= 1;
  await chmod(file, 0o600);
  await writeFile(file, bytes);
  await assert.rejects(pushTree(up, 'damaged', digest), { code: 'digest-invalid', message: /damaged here/ });
});

test('content with sha512 digests is pushed', async () => {
  const blob = await pushBlob(layer.url, 'sha512', Buffer.from('content'));
  const config = await pushBlob(layer.url, 'sha512', Buffer.from('{}'));
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [blob] }));
  const digest = `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
  const headers = { 'content-type': mediaType };
  const path = `/v2/sha512/manifests/${digest}`;
  const put = await fetch(`${layer.url}${path}`, { method: 'PUT', headers, body: bytes });
  assert.equal(put.status, 201);
  await using up = await pushContext(layer, { url: proxy.url });
  await pushTree(up, 'sha512', digest);
  assert.equal((await fetch(`${parent.url}${path}`)).status, 200);
});

test('an empty blob is pushed', async () => {
  const { digest, layers } = await pushImage(layer.url, 'empty', 'v1', { layers: [Buffer.alloc(0)] });
  await using up = await pushContext(layer, { url: proxy.url });
  await pushNewTag(up, 'empty', digest, 'v1');
  await layer.event(transferFinished, (data) => data.digest === layers[0]!.digest);
  assert.equal(await firstDifference(layer.url, parent.url, ['empty']), undefined);
});
