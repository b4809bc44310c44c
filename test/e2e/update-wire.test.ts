import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { FaultProxy } from '../support/proxy/fault-proxy.ts';
import { linesOf, type RecordedRequest } from '../support/proxy/requests.ts';
import { type Cloud, startCloud } from '../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../support/registry/image.ts';

/** Requests and bytes on the link when an image is updated and most of its layers stay. */

const SIZE = 300_000;
const stack = new AsyncDisposableStack();
let cloud: Cloud;
let proxy: FaultProxy;
let layer: TestLayer;

before(async () => {
  cloud = stack.use(await startCloud());
  proxy = stack.use(await FaultProxy.start(cloud.url));
  layer = stack.use(
    await testLayer({ parent: proxy.url, repositories: ['*'], mode: 'ReadWrite', compact: 'hosted' }),
  );
});
after(() => stack.disposeAsync());
beforeEach(() => proxy.clearRequests());

/** Five layers; those whose index is in `changed` have other content. */
const layers = (repository: string, ...changed: number[]) =>
  Array.from({ length: 5 }, (_, i) => ({
    seed: `${repository} ${i}${changed.includes(i) ? ' changed' : ''}`,
    size: SIZE + i,
  }));

async function pass(): Promise<void> {
  const { failures } = await layer.sync();
  assert.deepEqual(failures, []);
}

const requestsFor = (method: string, path: RegExp): RecordedRequest[] =>
  proxy.requests.filter((seen) => seen.method === method && path.test(seen.path));

test('down: an update that changes one layer of five transfers one blob, the config and the manifest', async () => {
  await pushImage(cloud.host, 'down/app', 'v1', { layers: layers('down') });
  await pass();
  proxy.clearRequests();
  const update = await pushImage(cloud.host, 'down/app', 'v1', { layers: layers('down', 3) });
  await pass();
  const blobs = proxy.requests.filter(({ path }) => path.includes('/blobs/'));
  const expected = [update.layers[3]!, update.config].map(({ digest }) => `/v2/down/app/blobs/${digest}`);
  assert.deepEqual([...new Set(blobs.map(({ path }) => path))].sort(), expected.sort());
  assert.equal(proxy.bytesOf(/\/blobs\//), update.layers[3]!.size + update.config.size);
  assert.equal(proxy.bytesOf(/\/manifests\/sha256:/), update.size);
  assert.equal(await firstDifference(cloud.host, layer.host, ['down/app']), undefined);
});

test('down: another repository that shares all layers requests no blob', async () => {
  await pushImage(cloud.host, 'down/first', 'v1', { layers: layers('shared') });
  await pass();
  proxy.clearRequests();
  await pushImage(cloud.host, 'down/second', 'v1', { layers: layers('shared') });
  await pass();
  assert.deepEqual(
    linesOf(proxy.requests.filter(({ path }) => path.includes('/blobs/'))),
    [],
    'no request for a blob',
  );
  assert.equal(await firstDifference(cloud.host, layer.host, ['down/second']), undefined);
});

test('down: a pass without changes requests no blob, and no manifest that the layer holds', async () => {
  await pushImage(cloud.host, 'down/idle', 'v1', { layers: layers('idle') });
  await pass();
  proxy.clearRequests();
  await pass();
  assert.deepEqual(linesOf(proxy.requests.filter(({ path }) => path.includes('/blobs/'))), []);
  assert.equal(proxy.bytesOf(/\/manifests\//), 0, linesOf(requestsFor('GET', /\/manifests\//)).join('\n'));
});

test('up: an update that changes one layer of five transfers one blob, the config and the manifest', async () => {
  const original = await pushImage(layer.host, 'up/app', 'v1', { layers: layers('up') });
  await pass();
  const sizes = [...original.layers, original.config].map(({ size }) => size);
  assert.equal(
    sentBytes(),
    sizes.reduce((sum, size) => sum + size),
    'the first push sends each blob once',
  );
  proxy.clearRequests();
  const update = await pushImage(layer.host, 'up/app', 'v1', { layers: layers('up', 1) });
  await pass();
  assert.equal(sentBytes(), update.layers[1]!.size + update.config.size);
  // Uploads begin only for the two blobs that are neither at the parent nor mounted.
  const uploads = requestsFor('POST', /\/blobs\/uploads\/$/).filter(({ status }) => status !== 201);
  assert.equal(uploads.length, 2, linesOf(uploads).join('\n'));
  assert.deepEqual(requestsFor('GET', /\/blobs\/sha256:/), []);
  assert.equal(await firstDifference(cloud.host, layer.host, ['up/app']), undefined);
});

test('up: in another repository all blobs are mounted, and none of their bytes is sent', async () => {
  await pushImage(layer.host, 'up/first', 'v1', { layers: layers('mounted') });
  await pass();
  proxy.clearRequests();
  const again = await pushImage(layer.host, 'up/second', 'v1', { layers: layers('mounted') });
  await pass();
  const mounts = requestsFor('POST', /^\/v2\/up\/second\/blobs\/uploads\/$/);
  const digests = [...again.layers, again.config].map(({ digest }) => digest);
  assert.deepEqual(mounts.map(({ query }) => query.get('mount')).sort(), digests.sort());
  assert.ok(
    mounts.every(({ status }) => status === 201),
    linesOf(mounts).join('\n'),
  );
  assert.deepEqual(linesOf([...requestsFor('PATCH', /./), ...requestsFor('PUT', /\/blobs\//)]), []);
  assert.equal(sentBytes(), 0);
  assert.equal(await firstDifference(cloud.host, layer.host, ['up/second']), undefined);
});

/** Bytes of blobs that the layer sent. */
const sentBytes = (): number =>
  proxy.requests
    .filter(({ path }) => path.includes('/blobs/uploads/'))
    .reduce((sum, { received }) => sum + received, 0);
