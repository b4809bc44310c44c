import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transferDelayed, transferFinished } from '#proto/sync/transfers.ts';
import { Extents } from '../../../services/syncer/link/answers/extents.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../support/proxy/fault-proxy.ts';
import { Clients } from '../../support/registry/clients.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { contentOf, digestOf } from '../../support/registry/content.ts';
import { estargz, type Files, pushZstdChunked } from '../../support/registry/framed-layers.ts';
import { firstDifference, getManifest, pushImage } from '../../support/registry/image.ts';
import { slowedRate } from '../../support/until.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Files of noise, of which those from `changed` on have other content than without it. */
function filesOf(count: number, size: number, changed = count): Files {
  const name = (index: number) => `d${index % 7}/f${index}`;
  const content = (index: number) => contentOf({ seed: `${index} ${index >= changed}`, size });
  return new Map(Array.from({ length: count }, (_, index) => [name(index), content(index)]));
}

/** The ranges that were requested of a blob, in order. */
function rangesOf(proxy: FaultProxy, digest: string): { start: number; end: number }[] {
  const asked = proxy.requests.filter(({ method, path }) => method === 'GET' && path.endsWith(digest));
  return asked.flatMap(({ range = '' }) =>
    [...range.matchAll(/(\d+)-(\d+)/g)].map(([, start, last]) => ({
      start: Number(start),
      end: Number(last) + 1,
    })),
  );
}

/** Asserts that no byte of a blob was requested twice. @returns number of bytes that were requested */
function requestedOnce(proxy: FaultProxy, digest: string): number {
  const ranges = rangesOf(proxy, digest);
  const sum = ranges.reduce((bytes, { start, end }) => bytes + end - start, 0);
  assert.equal(new Extents(ranges).bytes, sum, 'bytes were requested twice');
  return sum;
}

async function layerOf(url: string, repository: string, tag: string) {
  const manifest = await getManifest(new URL(url).host, repository, tag);
  assert.ok(manifest);
  const { layers } = JSON.parse(manifest.bytes.toString());
  return layers[0] as { digest: string; size: number };
}

async function sync(layer: TestLayer): Promise<void> {
  const { failures } = await layer.sync();
  assert.deepEqual(failures, []);
}

test('of an update in zstd:chunked, only what has changed crosses the link', async () => {
  await using cloud = await startCloud();
  await using clients = await Clients.create();
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: slowedRate(8 * MIB) } });
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], compact: 'hosted' });
  const count = 120;
  await pushZstdChunked(clients, cloud.host, 'app', '1.0.9', filesOf(count, 8 * KIB));
  await sync(layer);

  // Another tag, as a release is.
  await pushZstdChunked(clients, cloud.host, 'app', '1.0.10', filesOf(count, 8 * KIB, count - 6));
  proxy.clearRequests();
  await sync(layer);
  const { digest, size } = await layerOf(cloud.url, 'app', '1.0.10');
  const requested = requestedOnce(proxy, digest);
  assert.ok(requested < size / 5, `${requested} of ${size} bytes`);
  const crossed = proxy.bytesOf(new RegExp(`${digest}$`));
  assert.ok(crossed < size / 5, `${crossed} of ${size} bytes`);
  const { saved } = await layer.event(transferFinished, (transfer) => transfer.digest === digest);
  assert.deepEqual({ ...saved, cpuMs: 0 }, { by: 'frames', bytes: size - requested, cpuMs: 0 });
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);

  // At a parent that sends all of a blob if it is asked for several ranges.
  proxy.fault(({ range }) => (range?.includes(',') ? { ignoreRange: true } : undefined));
  await pushZstdChunked(clients, cloud.host, 'app', '1.0.10', filesOf(count, 8 * KIB, count - 12));
  proxy.clearRequests();
  await sync(layer);
  const next = await layerOf(cloud.url, 'app', '1.0.10');
  const single = rangesOf(proxy, next.digest);
  assert.ok(new Extents(single).bytes < size / 2, `${JSON.stringify(single)} of ${size} bytes`);
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);
});

test('of an update in eStargz, only what has changed crosses the link, also over cuts and a kill', async () => {
  const size = 6 * MIB;
  const [count, changed] = [96, 48];
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: slowedRate(24 * MIB) } });
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], connections: 3 });
  await pushImage(cloud.url, 'app', 'latest', { layers: [estargz(filesOf(count, size / count))] });
  await sync(layer);
  proxy.bandwidth = { total: slowedRate(3 * MIB) };
  const update = estargz(filesOf(count, size / count, changed));
  const digest = digestOf(update);
  const path = new RegExp(`${digest}$`);
  await pushImage(cloud.url, 'app', 'latest', { layers: [update] });
  proxy.clearRequests();
  const syncing = layer.sync();
  await proxy.until(() => proxy.bytesOf(path) > MIB);
  await proxy.down();
  await proxy.up();
  await proxy.until(() => proxy.bytesOf(path) > 2 * MIB);
  await layer.kill('syncer-1');
  await syncing.catch(() => {});
  await sync(layer);
  const { saved } = await layer.event(transferFinished, (transfer) => transfer.digest === digest);
  // What is here was never requested. What had come was requested again only if it was not on the disk yet.
  const requested = new Extents(rangesOf(proxy, digest)).bytes;
  assert.ok(requested < 0.6 * update.length, `${requested} of ${update.length} bytes`);
  const crossed = proxy.bytesOf(path);
  assert.ok(crossed < requested + 2 * MIB, `${crossed} bytes for ${requested}`);
  const unsaved = update.length - (saved?.bytes ?? 0);
  assert.ok(unsaved >= requested && unsaved <= crossed, `${unsaved} bytes not saved, of ${crossed}`);
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);
});

test('if the table of contents lies, what was copied is requested, and nothing twice', async () => {
  const count = 32;
  const files = filesOf(count, 32 * KIB);
  const base = estargz(files);
  const next = new Map([...filesOf(count, 32 * KIB, count - 4)]);
  next.set('d3/f3', contentOf({ seed: 'other', size: 32 * KIB }));
  const update = estargz(next, new Map([['d3/f3', digestOf(files.get('d3/f3') as Buffer)]]));
  const digest = digestOf(update);
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: slowedRate(8 * MIB) } });
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], compact: 'hosted' });
  await pushImage(cloud.url, 'app', 'latest', { layers: [base] });
  await sync(layer);
  await pushImage(cloud.url, 'app', 'latest', { layers: [update] });
  proxy.clearRequests();
  await sync(layer);
  assert.equal(requestedOnce(proxy, digest), update.length);
  const { code, reason } = await layer.event(transferDelayed, (transfer) => transfer.digest === digest);
  assert.deepEqual(
    [code, reason],
    ['unavailable', `the layers here do not have the frames of ${digest}: all of it comes`],
  );
  const { saved } = await layer.event(transferFinished, (transfer) => transfer.digest === digest);
  assert.equal(saved, undefined);
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);
});

test('a layer without frames comes as it always did, and so does the first one with frames', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: slowedRate(8 * MIB) } });
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], compact: 'hosted' });
  const plain = (seed: string) => contentOf({ seed, size: 300 * KIB });
  const framed = estargz(filesOf(16, 24 * KIB));
  const odd = Buffer.concat([framed.subarray(0, -51), Buffer.alloc(51)]);
  for (const bytes of [plain('1'), plain('2'), framed, odd]) {
    await pushImage(cloud.url, 'app', 'latest', { layers: [bytes] });
    proxy.clearRequests();
    await sync(layer);
    const ranges = rangesOf(proxy, digestOf(bytes));
    if (bytes !== odd) assert.deepEqual(ranges, [{ start: 0, end: bytes.length }]);
    assert.equal(requestedOnce(proxy, digestOf(bytes)), bytes.length);
  }
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);
});

test('with `delta.mode: off`, all of a layer crosses the link', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: slowedRate(8 * MIB) } });
  const delta = { mode: 'off' } as const;
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], compact: 'hosted', delta });
  for (const changed of [32, 30]) {
    const bytes = estargz(filesOf(32, 24 * KIB, changed));
    await pushImage(cloud.url, 'app', 'latest', { layers: [bytes] });
    await sync(layer);
    assert.equal(requestedOnce(proxy, digestOf(bytes)), bytes.length);
    const { saved } = await layer.event(transferFinished, (one) => one.digest === digestOf(bytes));
    assert.equal(saved, undefined);
  }
});
