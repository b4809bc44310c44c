import assert from 'node:assert/strict';
import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { scrub } from '#proto/content/maintenance.ts';
import { passFinished } from '#proto/sync/passes.ts';
import { type TestLayer, testLayer } from '../../../support/layer.ts';
import { type Cloud, startCloud } from '../../../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../../../support/registry/image.ts';
import { request } from '../../../support/registry/registry.ts';

/** Each test has its own repositories, and leaves no damaged content. */
const stack = new AsyncDisposableStack();
let cloud: Cloud;
let layer: TestLayer;
before(async () => {
  cloud = stack.use(await startCloud());
  layer = stack.use(await testLayer({ parent: cloud.url, mode: 'ReadWrite', compact: 'hosted' }));
});
after(() => stack.disposeAsync());

const fileOf = (data: string, digest: string) =>
  join(data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));

async function damage(file: string): Promise<void> {
  await chmod(file, 0o600);
  await writeFile(file, 'damaged');
}

test('content that a scrub finds damaged is fetched from the parent without a request', async () => {
  const image = await pushImage(cloud.url, 'all/app', 'v1', { layers: [{ seed: 'a', size: 300_000 }] });
  await pushImage(cloud.url, 'all/other', 'v1', { layers: [{ seed: 'b', size: 5_000 }] });
  assert.deepEqual((await layer.sync()).failures, []);

  const [blob, manifest] = [image.layers[0]!.digest, image.digest];
  await damage(fileOf(layer.data, blob));
  await rm(fileOf(layer.data, manifest));
  layer.events.length = 0;
  const { damaged } = await layer.bus().call(scrub, { rate: 1e9 });
  assert.deepEqual(damaged.toSorted(), [blob, manifest].sort());
  const { failures } = await layer.event(passFinished);
  assert.deepEqual(failures, []);
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);
  assert.deepEqual((await layer.bus().call(scrub, { rate: 1e9 })).damaged, []);
});

test('damaged content that a client deleted does not fail a pass', async () => {
  const image = await pushImage(layer.url, 'deleted', 'v1', { layers: [{ seed: 'deleted', size: 9_000 }] });
  await damage(fileOf(layer.data, image.digest));
  assert.deepEqual((await layer.bus().call(scrub, { rate: 1e9 })).damaged, [image.digest]);
  assert.equal((await layer.sync()).ok, false);
  const { status } = await request(layer.url, `/v2/deleted/manifests/${image.digest}`, { method: 'DELETE' });
  assert.equal(status, 202);
  assert.deepEqual((await layer.sync()).failures, []);
});

test('damaged content that the parent lacks fails each pass until a client pushes it again', async () => {
  const own = { layers: [{ seed: 'own', size: 9_000 }] };
  const image = await pushImage(layer.url, 'own', 'v1', own);
  await damage(fileOf(layer.data, image.layers[0]!.digest));
  await layer.bus().call(scrub, { rate: 1e9 });
  const { ok, failures } = await layer.sync();
  assert.equal(ok, false);
  // It can be neither fetched nor pushed.
  assert.ok(failures.every(({ repository, code }) => repository === 'own' && code === 'blob-unknown'));
  assert.equal(failures.filter(({ reason }) => /damaged here/.test(reason)).length, 1);
  await pushImage(layer.url, 'own', 'v1', own);
  assert.deepEqual((await layer.sync()).failures, []);
});
