import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { ARRIVING_PATH } from '#proto/content/arriving.ts';
import { blobCommitted, tagMoved } from '#proto/content/content-events.ts';
import { transferFailed, transferProgressed } from '#proto/sync/transfers.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { type FaultProxy, startProxy } from '../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../support/registry/cloud.ts';
import { firstDifference, type PushedImage, pushImage } from '../support/registry/image.ts';
import { slowedRate } from '../support/until.ts';

/** cloud → top → middle → bottom, over a slow link of the top: a blob is passed down while it is arriving. */

const MIB = 1024 * 1024;
const SIZE = 16 * MIB;
const SLOW = { total: slowedRate(MIB) };
const LIVE = { schedule: '* * * * *', compact: 'hosted' as const };

const stack = new AsyncDisposableStack();
let cloud: Cloud;
/** The link of each layer to its parent. */
let links: Record<'top' | 'middle' | 'bottom', FaultProxy>;
let top: TestLayer;
let middle: TestLayer;
let bottom: TestLayer;

before(async () => {
  cloud = stack.use(await startCloud());
  const first = stack.use(await startProxy(cloud.url));
  top = stack.use(await testLayer({ name: 'top', parent: first.url, compact: true }));
  const second = stack.use(await startProxy(top.url));
  middle = stack.use(await testLayer({ ...LIVE, name: 'middle', parent: second.url }));
  const third = stack.use(await startProxy(middle.url));
  const repositories = [{ name: '*', tags: { match: ['v*'] }, platforms: ['linux/amd64'] }];
  bottom = stack.use(await testLayer({ ...LIVE, name: 'bottom', parent: third.url, repositories }));
  links = { top: first, middle: second, bottom: third };
  for (const layer of [top, middle, bottom]) assert.deepEqual((await layer.sync()).failures, []);
});
after(() => stack.disposeAsync());
beforeEach(() => {
  links.top.bandwidth = SLOW;
  for (const link of Object.values(links)) link.clearRequests();
});

/** Pushes an image to the cloud and starts a pass of the top. @returns also the digest of its layer, and the pass */
async function startTransfer(
  repository: string,
): Promise<{ image: PushedImage; blob: string; pass: Promise<unknown> }> {
  const image = await pushImage(cloud.host, repository, 'v1', { layers: [{ seed: repository, size: SIZE }] });
  const pass = top.sync();
  pass.catch(() => {});
  return { image, blob: image.layers[0]?.digest as string, pass };
}

const halfWay = (layer: TestLayer, blob: string) =>
  layer.event(transferProgressed, ({ digest, done }) => digest === blob && done > 0 && done < SIZE);

const arrives = (layer: TestLayer, repository: string, { digest }: PushedImage) =>
  layer.event(tagMoved, (moved) => moved.repository === repository && moved.digest === digest);

const eventsOf = (layer: TestLayer, type: { type: string }, blob: string) =>
  layer.events.filter(
    (event) => event.type === `terrace.${type.type}` && (event.data as { digest?: string }).digest === blob,
  );

/** Bytes of the blob that crossed a link, as arriving content and as a blob. */
const crossedBytes = (link: FaultProxy, blob: string) => link.bytesOf(new RegExp(`/${blob}$`));

test('the bottom holds part of a blob before the top holds all of it, and each byte crosses each link once', async () => {
  const { image, blob } = await startTransfer('complete');
  await halfWay(bottom, blob);
  for (const layer of [top, middle]) assert.deepEqual(eventsOf(layer, blobCommitted, blob), []);
  links.top.bandwidth = {};
  for (const layer of [top, middle, bottom]) await arrives(layer, 'complete', image);
  for (const layer of [top, middle, bottom]) {
    assert.equal(await firstDifference(cloud.host, layer.host, ['complete']), undefined);
    assert.deepEqual(eventsOf(layer, transferFailed, blob), []);
  }
  for (const link of Object.values(links)) assert.equal(crossedBytes(link, blob), SIZE);
  const prefetched = links.bottom.requests.filter(({ path }) => path === `${ARRIVING_PATH}/${blob}`);
  assert.ok(prefetched.reduce((sum, { bytes }) => sum + bytes, 0) > SIZE / 2);
});

test('after a kill of the top, it and the layers below continue with the bytes that they have', async () => {
  const { image, blob } = await startTransfer('killed');
  await halfWay(bottom, blob);
  await top.kill('layer');
  links.top.bandwidth = {};
  const pass = top.sync();
  for (const layer of [top, middle, bottom]) await arrives(layer, 'killed', image);
  await pass;
  for (const layer of [top, middle, bottom]) {
    assert.equal(await firstDifference(cloud.host, layer.host, ['killed']), undefined);
  }
  for (const link of [links.middle, links.bottom]) {
    const bytes = crossedBytes(link, blob);
    assert.ok(bytes < SIZE * 1.1, `${bytes} of ${SIZE} bytes crossed`);
  }
});

test('when a transfer of the top fails, the layers below keep their bytes and continue with its next attempt', async () => {
  const { image, blob, pass } = await startTransfer('given-up');
  await halfWay(bottom, blob);
  links.top.fault(({ path }) => (path.endsWith(blob) ? { answer: { status: 403 } } : undefined));
  await links.top.down();
  await links.top.up();
  await pass;
  links.top.fault();
  links.top.bandwidth = {};
  const [again] = await Promise.all([top.sync(), arrives(bottom, 'given-up', image)]);
  assert.deepEqual(again.failures, []);
  for (const layer of [top, middle, bottom]) {
    assert.equal(await firstDifference(cloud.host, layer.host, ['given-up']), undefined);
  }
  for (const link of [links.middle, links.bottom]) assert.equal(crossedBytes(link, blob), SIZE);
});
