import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { blobDamaged } from '#proto/content/maintenance.ts';
import { until } from '../../support/until.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';

/** Files of committed content that the disk has lost or truncated. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const damaged: string[] = [];
layer.bus.listen(blobDamaged, ({ data }) => damaged.push(data.digest));

const fileOf = (digest: string) => join(layer.data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));
const statusOf = async (path: string) => {
  const response = await layer.fetch('GET', path);
  await response.arrayBuffer();
  return response.status;
};

/** Pushes an image under this tag. @returns its digest */
async function image(tag: string): Promise<string> {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const config = {
    mediaType: 'application/vnd.oci.empty.v1+json',
    size: 2,
    digest: await layer.blob('lib/app', '{}'),
  };
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config,
    layers: [config],
    annotations: { tag },
  });
  const headers = { 'content-type': mediaType };
  const { status } = await layer.fetch('PUT', `/v2/lib/app/manifests/${tag}`, { headers, body });
  assert.equal(status, 201);
  return sha256(body);
}

test('a blob whose file is missing is quarantined at the first read, and is unknown until it is pushed again', async () => {
  const bytes = randomBytes(10_000);
  const digest = await layer.blob('lib/app', bytes);
  await rm(fileOf(digest));
  assert.equal(await statusOf(`/v2/lib/app/blobs/${digest}`), 404);
  await until(() => damaged.includes(digest));
  assert.equal(await layer.blob('lib/app', bytes), digest);
  assert.equal(await statusOf(`/v2/lib/app/blobs/${digest}`), 200);
});

test('a blob whose file is truncated is not sent as complete, and is quarantined', async () => {
  const digest = await layer.blob('lib/app', randomBytes(3_000_000));
  await truncate(fileOf(digest), 1_000_000);
  await assert.rejects(statusOf(`/v2/lib/app/blobs/${digest}`));
  await until(() => damaged.includes(digest));
  assert.equal(await statusOf(`/v2/lib/app/blobs/${digest}`), 404);
});

for (const [what, damage] of [
  ['missing', (file: string) => rm(file)],
  ['truncated', (file: string) => truncate(file, 10)],
] as const) {
  test(`a manifest whose file is ${what} is quarantined at the first read`, async () => {
    const digest = await image(what);
    await damage(fileOf(digest));
    assert.equal(await statusOf(`/v2/lib/app/manifests/${what}`), 404);
    await until(() => damaged.includes(digest));
    assert.equal(await image(what), digest);
    assert.equal(await statusOf(`/v2/lib/app/manifests/${what}`), 200);
  });
}
