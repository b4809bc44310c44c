import { deepEqual, equal } from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startUpload } from '#proto/content/ingests.ts';
import { putManifest } from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';

/** A sparse index, of which the layer leaves out one platform. */
const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const absent = sha256('the image for arm64');
const index = JSON.stringify({
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: [{ mediaType: mediaTypes.ociManifest, digest: absent, size: 19 }],
});
const repository = 'line/app';
const { id, claim, path } = await layer.bus.call(startUpload, { repository, by: 'test', hold: true });
await writeFile(join(layer.data, path, 'data'), index);
await layer.bus.call(putManifest, {
  ...{
    repository,
    digest: sha256(index),
    mediaType: mediaTypes.ociIndex,
    id,
    claim,
    tag: 'v1',
    arrived: true,
  },
  leftOut: [{ digest: absent, platform: 'linux/arm64' }],
});

const platformLines = () => layer.logged.filter(({ platform }) => platform !== undefined);

test('a sparse index is served unchanged', async () => {
  const response = await layer.fetch('GET', `/v2/${repository}/manifests/v1`);
  equal(response.status, 200);
  equal(await response.text(), index);
  deepEqual(platformLines(), []);
});

for (const method of ['GET', 'HEAD']) {
  test(`${method} of a left-out manifest is answered 404 with its platform, which is logged, too`, async () => {
    layer.logged.length = 0;
    const response = await layer.fetch(method, `/v2/${repository}/manifests/${absent}`);
    equal(response.status, 404);
    const text = await response.text();
    if (method === 'GET') {
      const { code, detail } = JSON.parse(text).errors[0];
      equal(code, 'MANIFEST_UNKNOWN');
      equal(detail.leftOut, 'linux/arm64');
    }
    deepEqual(
      platformLines().map(({ message: _message, ...fields }) => fields),
      [{ repository, digest: absent, platform: 'linux/arm64' }],
    );
  });
}

test('for an unknown manifest, no platform is logged', async () => {
  layer.logged.length = 0;
  const response = await layer.fetch('GET', `/v2/${repository}/manifests/${sha256('unknown')}`);
  equal(response.status, 404);
  equal(JSON.parse(await response.text()).errors[0].code, 'MANIFEST_UNKNOWN');
  deepEqual(platformLines(), []);
});
