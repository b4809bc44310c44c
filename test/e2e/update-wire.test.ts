import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { FaultProxy } from '../support/proxy/fault-proxy.ts';
import type { Seen } from '../support/proxy/requests.ts';
import { type Cloud, startCloud } from '../support/registry/cloud.ts';
import { pushImage, sameContent } from '../support/registry/image.ts';

/** What goes over the link when an image is updated and most of its layers stay, counted request by request. */

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
beforeEach(() => proxy.forget());

/** Five layers; of those named, the content is another one. */
const layers = (repository: string, ...changed: number[]) =>
  Array.from({ length: 5 }, (_, i) => ({
    seed: `${repository} ${i}${changed.includes(i) ? ' changed' : ''}`,
    size: SIZE + i,
  }));

async function pass(): Promise<void> {
  const { failures } = await layer.sync();
  assert.deepEqual(failures, []);
}

const asked = (method: string, path: RegExp): Seen[] =>
  proxy.requests.filter((seen) => seen.method === method && path.test(seen.path));
/** `method path status`, without what differs from run to run. */
const lines = (requests: Seen[]) =>
  requests.map(
    ({ method, path, status }) => `${method} ${path.replace(/uploads\/.+/, 'uploads/…')} ${status}`,
  );

test('down: of an update that changes one layer of five, one blob, the config and the manifest come', async () => {
  await pushImage(cloud.host, 'down/app', 'v1', { layers: layers('down') });
  await pass();
  proxy.forget();
  const update = await pushImage(cloud.host, 'down/app', 'v1', { layers: layers('down', 3) });
  await pass();
  const blobs = proxy.requests.filter(({ path }) => path.includes('/blobs/'));
  const wanted = [update.layers[3]!, update.config].map(({ digest }) => `/v2/down/app/blobs/${digest}`);
  assert.deepEqual([...new Set(blobs.map(({ path }) => path))].sort(), wanted.sort());
  assert.equal(proxy.bytesOf(/\/blobs\//), update.layers[3]!.size + update.config.size);
  assert.equal(proxy.bytesOf(/\/manifests\/sha256:/), update.size);
  assert.equal(await sameContent(cloud.host, layer.host, ['down/app']), undefined);
});

test('down: another repository that shares all layers costs no byte of a blob', async () => {
  await pushImage(cloud.host, 'down/first', 'v1', { layers: layers('shared') });
  await pass();
  proxy.forget();
  await pushImage(cloud.host, 'down/second', 'v1', { layers: layers('shared') });
  await pass();
  assert.deepEqual(
    lines(proxy.requests.filter(({ path }) => path.includes('/blobs/'))),
    [],
    'no request for a blob',
  );
  assert.equal(await sameContent(cloud.host, layer.host, ['down/second']), undefined);
});

test('down: a pass that finds nothing new asks for no blob and for no manifest that is here', async () => {
  await pushImage(cloud.host, 'down/idle', 'v1', { layers: layers('idle') });
  await pass();
  proxy.forget();
  await pass();
  assert.deepEqual(lines(proxy.requests.filter(({ path }) => path.includes('/blobs/'))), []);
  assert.equal(proxy.bytesOf(/\/manifests\//), 0, lines(asked('GET', /\/manifests\//)).join('\n'));
});

test('up: of an update that changes one layer of five, one blob, the config and the manifest go', async () => {
  const whole = await pushImage(layer.host, 'up/app', 'v1', { layers: layers('up') });
  await pass();
  const sizes = [...whole.layers, whole.config].map(({ size }) => size);
  assert.equal(
    sent(),
    sizes.reduce((sum, size) => sum + size),
    'at first all of it goes, once',
  );
  proxy.forget();
  const update = await pushImage(layer.host, 'up/app', 'v1', { layers: layers('up', 1) });
  await pass();
  assert.equal(sent(), update.layers[1]!.size + update.config.size);
  // What is there is only asked for, or mounted.
  const begun = asked('POST', /\/blobs\/uploads\/$/).filter(({ status }) => status !== 201);
  assert.equal(begun.length, 2, lines(begun).join('\n'));
  assert.deepEqual(asked('GET', /\/blobs\/sha256:/), []);
  assert.equal(await sameContent(cloud.host, layer.host, ['up/app']), undefined);
});

test('up: in another repository all blobs are mounted, and not a byte of them goes', async () => {
  await pushImage(layer.host, 'up/first', 'v1', { layers: layers('mounted') });
  await pass();
  proxy.forget();
  const again = await pushImage(layer.host, 'up/second', 'v1', { layers: layers('mounted') });
  await pass();
  const mounts = asked('POST', /^\/v2\/up\/second\/blobs\/uploads\/$/);
  const digests = [...again.layers, again.config].map(({ digest }) => digest);
  assert.deepEqual(mounts.map(({ query }) => query.get('mount')).sort(), digests.sort());
  assert.ok(
    mounts.every(({ status }) => status === 201),
    lines(mounts).join('\n'),
  );
  assert.deepEqual(lines([...asked('PATCH', /./), ...asked('PUT', /\/blobs\//)]), []);
  assert.equal(sent(), 0);
  assert.equal(await sameContent(cloud.host, layer.host, ['up/second']), undefined);
});

/** Bytes of blobs that the layer sent. */
const sent = (): number =>
  proxy.requests
    .filter(({ path }) => path.includes('/blobs/uploads/'))
    .reduce((sum, { received }) => sum + received, 0);
