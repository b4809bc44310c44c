import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { DELTAS_PATH } from '#proto/sync/delta-exchange.ts';
import { transferFinished } from '#proto/sync/transfers.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { type FaultProxy, startProxy } from '../support/proxy/fault-proxy.ts';
import { firstDifference, pushImage } from '../support/registry/image.ts';

/** An update crosses the links of three layers as a delta, in both directions: the digests are the same. */

const delta = { mode: 'always' } as const;
const stack = new AsyncDisposableStack();
let top: TestLayer;
let middle: TestLayer;
let bottom: TestLayer;
/** Between top and middle, and between middle and bottom. */
let upper: FaultProxy;
let lower: FaultProxy;

before(async () => {
  const options = { mode: 'ReadWrite', compact: 'hosted', delta } as const;
  const repositories = ['*'];
  top = stack.use(await testLayer({ compact: 'hosted', delta, name: 'top' }));
  upper = stack.use(await startProxy(top.url));
  middle = stack.use(await testLayer({ ...options, repositories, name: 'middle', parent: upper.url }));
  lower = stack.use(await startProxy(middle.url));
  bottom = stack.use(await testLayer({ ...options, repositories, name: 'bottom', parent: lower.url }));
});
after(() => stack.disposeAsync());
beforeEach(() => {
  upper.clearRequests();
  lower.clearRequests();
});

/** Text that compresses to about a third, of which `changed` kB differ from that of no change. */
function layerOf(name: string, changed: number): Buffer {
  const lines = Array.from({ length: 40_000 }, (_, line) => {
    const seed = line < changed * 20 ? `${name} ${line} changed` : `${name} ${line}`;
    return `${createHash('sha256').update(seed).digest('hex').slice(0, 24)} line ${line}\n`;
  });
  return gzipSync(lines.join(''), { level: 6 });
}

async function sync(...layers: TestLayer[]): Promise<void> {
  for (const layer of layers) assert.deepEqual((await layer.sync()).failures, []);
}

/** Bytes of content on the link, in either direction. */
const contentBytes = ({ requests }: FaultProxy): number =>
  requests
    .filter(({ path }) => /\/blobs\/|\/_terrace\/(deltas|arriving)\/sha256:/.test(path))
    .reduce((sum, { bytes, received }) => sum + bytes + received, 0);

async function savedBy(layer: TestLayer, digest: string): Promise<number> {
  const { saved } = await layer.event(transferFinished, (data) => data.digest === digest);
  assert.equal(saved?.by, 'delta');
  return saved?.bytes ?? 0;
}

test('down: top makes a delta once, and each link carries it', async () => {
  const [old, next] = [layerOf('down', 0), layerOf('down', 20)];
  await pushImage(top.host, 'down/app', 'v1', { layers: [old] });
  await sync(middle, bottom);
  upper.clearRequests();
  lower.clearRequests();
  const { layers, config } = await pushImage(top.host, 'down/app', 'v2', { layers: [next] });
  await sync(middle, bottom);
  assert.equal(await firstDifference(top.host, bottom.host, ['down/app']), undefined);
  for (const layer of [middle, bottom])
    assert.ok((await savedBy(layer, layers[0]!.digest)) > next.length * 0.9);
  for (const link of [upper, lower]) {
    const bytes = contentBytes(link) - config.size;
    assert.ok(bytes < next.length / 10, `${bytes} bytes for ${next.length}`);
  }
});

test('up: bottom makes a delta, and each link carries it', async () => {
  const [old, next] = [layerOf('up', 0), layerOf('up', 20)];
  await pushImage(bottom.host, 'up/app', 'v1', { layers: [old] });
  await sync(bottom, middle);
  assert.equal(await firstDifference(top.host, bottom.host, ['up/app']), undefined);
  upper.clearRequests();
  lower.clearRequests();
  const { layers, config } = await pushImage(bottom.host, 'up/app', 'v1', { layers: [next] });
  await sync(bottom, middle);
  assert.equal(await firstDifference(top.host, bottom.host, ['up/app']), undefined);
  for (const layer of [bottom, middle])
    assert.ok((await savedBy(layer, layers[0]!.digest)) > next.length * 0.9);
  for (const link of [lower, upper]) {
    const bytes = contentBytes(link) - config.size;
    assert.ok(bytes < next.length / 10, `${bytes} bytes for ${next.length}`);
    const asked = link.requests.filter(({ path }) => path === `${DELTAS_PATH}/bases`);
    assert.equal(asked.length, 1);
  }
});

test('up: content that resembles nothing at the parent crosses in full, and is asked for nothing', async () => {
  const { layers } = await pushImage(bottom.host, 'new/app', 'v1', { layers: [400_000] });
  await sync(bottom);
  assert.equal(await firstDifference(middle.host, bottom.host, ['new/app']), undefined);
  assert.deepEqual(
    lower.requests.filter(({ path }) => path.startsWith(`${DELTAS_PATH}/`)),
    [],
  );
  const { saved } = await bottom.event(transferFinished, (data) => data.digest === layers[0]!.digest);
  assert.equal(saved, undefined);
});
