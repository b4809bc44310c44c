import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { DELTAS_PATH } from '#proto/sync/delta-exchange.ts';
import { deltaApplied, deltaMade } from '#proto/sync/delta-jobs.ts';
import { transferFinished } from '#proto/sync/transfers.ts';
import {
  ALWAYS,
  completePass,
  deltaOf,
  resetLink,
  startDeltaLayers,
  updatedImage,
} from '../../support/delta-layers.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../support/proxy/fault-proxy.ts';
import { firstDifference, pushImage, pushIndex } from '../../support/registry/image.ts';
import { gzipLayer, rawLayer } from '../../support/registry/versions.ts';
import { slowedRate } from '../../support/until.ts';

/** Updates that cross the link as deltas, on the way up, between two real layers, and what may go wrong. */

const MIB = 1024 * 1024;
const stack = new AsyncDisposableStack();
let parent: TestLayer;
let link: FaultProxy;
let child: TestLayer;

before(async () => {
  ({ parent, link, child } = await startDeltaLayers(stack));
});
after(() => stack.disposeAsync());
beforeEach(() => resetLink(link));

/** The parent has version 1 of an image, and the child gets version 2 of it. @returns its changed layer */
const updated = (repository: string, layerOf?: (version: number) => Buffer) =>
  updatedImage({ parent, link, child }, child, repository, layerOf);

const push = (layer = child) => completePass(layer);

const assertSame = async (repository: string) =>
  assert.equal(await firstDifference(parent.host, child.host, [repository]), undefined);
/** Bytes of blobs and deltas of the repository that crossed the link. */
const sentBytes = (repository: string) =>
  link.requests
    .filter(({ path }) => path.startsWith(`/v2/${repository}/blobs/uploads/`))
    .reduce((sum, { received }) => sum + received, 0);
const asked = (path: string) => link.requests.filter((seen) => seen.path === `${DELTAS_PATH}/${path}`);
const finishedOf = (digest: string) => child.event(transferFinished, (data) => data.digest === digest);

const deltaTo = (digest: string, layer = child) => deltaOf(layer, digest);

test('an update goes up as a delta, for one question, and both layers keep it', async () => {
  const { image, digest, size } = await updated('update');
  await push();
  await assertSame('update');
  const delta = await deltaTo(digest);
  assert.ok(delta && delta.size < size / 10, `${delta?.size} of ${size}`);
  assert.equal(sentBytes('update'), delta.size + image.config.size);
  assert.deepEqual([asked('bases').length, asked('apply').length], [1, 1]);
  assert.deepEqual((await finishedOf(digest)).saved, { by: 'delta', bytes: size - delta.size });
  assert.equal((await deltaTo(digest, parent))?.digest, delta.digest);
  assert.equal((await parent.event(deltaApplied, ({ to }) => to === digest)).digest, delta.digest);
});

test('the images of an index go up as deltas, each to what it resembles', async () => {
  const platforms = ['amd64', 'arm64'].map((architecture) => ({ os: 'linux', architecture }));
  const release = async (version: number) => {
    const images = [];
    for (const platform of platforms) {
      const layers = [rawLayer(version, 2 * MIB, { seed: `index ${platform.architecture}` })];
      images.push(await pushImage(child.host, 'index', undefined, { layers, platform }));
    }
    await pushIndex(child.host, 'index', `v${version}`, images);
    await push();
    return images.map((image) => image.layers[0]!);
  };
  await release(1);
  link.clearRequests();
  for (const { digest, size } of await release(2)) {
    const { saved } = await finishedOf(digest);
    assert.ok(saved?.by === 'delta' && saved.bytes > size * 0.9, `${saved?.bytes} of ${size}`);
  }
  await assertSame('index');
});

test('a layer whose mode is off, and a parent that announces no deltas, exchange no further request', async () => {
  await using old = await testLayer({ name: 'old', compact: 'hosted', delta: { mode: 'off' } });
  await using front = await startProxy(old.url);
  const options = { mode: 'ReadWrite', compact: 'hosted' } as const;
  await using below = await testLayer({ ...options, parent: front.url, delta: ALWAYS });
  await using off = await testLayer({ ...options, parent: link.url, delta: { mode: 'off' } });
  for (const layer of [below, off]) {
    for (const version of [1, 2]) {
      await pushImage(layer.host, 'plain', 'v1', { layers: [gzipLayer(version, { seed: 'plain' })] });
      await push(layer);
    }
  }
  for (const { requests } of [front, link]) {
    assert.deepEqual(
      requests.filter(({ path }) => path.startsWith(`${DELTAS_PATH}/`)),
      [],
    );
  }
});

test('a parent that does not apply the delta, or does not take it, gets the blob itself, in the same pass', async () => {
  for (const [repository, path] of [
    ['unapplied', `${DELTAS_PATH}/apply`],
    ['unasked', `${DELTAS_PATH}/bases`],
  ] as const) {
    const { digest, size } = await updated(repository);
    link.fault((seen) => (seen.path === path ? { answer: { status: 404 } } : undefined));
    await push();
    await assertSame(repository);
    assert.ok(sentBytes(repository) >= size);
    assert.equal((await finishedOf(digest)).saved, undefined);
  }
});

test('an upload of a delta that is cut, and one whose syncer is killed, continue at the next byte', async () => {
  const { digest } = await updated('cut', (version) => rawLayer(version, 32 * MIB, { seed: 'cut' }));
  const pass = child.sync();
  pass.catch(() => {});
  link.bandwidth = { total: slowedRate(1 * MIB) };
  await child.event(deltaMade, ({ to }) => to === digest);
  await link.until(() => sentBytes('cut') > 500_000);
  await link.down();
  await link.up();
  await link.until(() => sentBytes('cut') > 1_000_000);
  await child.kill('syncer-1');
  link.bandwidth = {};
  await pass.catch(() => {});
  for (let tries = 0; tries < 5; tries += 1) if ((await child.sync()).ok) break;
  await assertSame('cut');
  const { size = 0 } = (await deltaTo(digest)) ?? {};
  assert.ok(size > 1_000_000 && sentBytes('cut') <= size + 2 * MIB, `${sentBytes('cut')} for ${size}`);
});

test('a parent that is killed while it applies a delta has the blob at the end, once', async () => {
  await using own = await testLayer({ name: 'own', delta: ALWAYS });
  await using below = await testLayer({
    mode: 'ReadWrite',
    compact: 'hosted',
    parent: own.url,
    delta: ALWAYS,
  });
  const layerOf = (version: number) => rawLayer(version, 32 * MIB, { seed: 'parent' });
  await pushImage(below.host, 'app', 'v1', { layers: [layerOf(1)] });
  await push(below);
  const { layers } = await pushImage(below.host, 'app', 'v1', { layers: [layerOf(2)] });
  const pass = below.sync();
  pass.catch(() => {});
  await below.event(deltaMade, ({ to }) => to === layers[0]!.digest);
  await own.kill('syncer-1');
  await pass.catch(() => {});
  for (let tries = 0; tries < 5; tries += 1) if ((await below.sync()).ok) break;
  assert.equal(await firstDifference(own.host, below.host, ['app']), undefined);
  assert.deepEqual(await readdir(join(own.data, 'ingest')), []);
});
