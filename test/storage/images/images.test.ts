import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeImages, MAX_ATTACHED } from '#proto/content/images.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { bytesOf, descriptorOf, digestOf, imageOf, indexOf, jsonOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** Facts of images: what of them is here, for which platforms, and what belongs to them. */

const buses = await sharedBuses();

const repository = 'lib/app';
const entryOf = (image: object, platform?: object) => ({
  ...descriptorOf(jsonOf(image)),
  mediaType: mediaTypes.ociManifest,
  ...(platform && { platform }),
});

async function describe(rig: Rig, digests: string[], attached = false) {
  return rig.gateway.call(describeImages, { repository, digests, attached });
}

test('an index counts each part once, names its platforms, and says how many parts are not here', async () => {
  await using rig = await Rig.open(buses);
  const [one, other, absent] = [imageOf('one'), imageOf('other'), imageOf('absent')];
  await rig.gateway.pushImage(repository, 'one');
  await rig.gateway.pushImage(repository, 'other');
  const index = indexOf(
    entryOf(one, { os: 'linux', architecture: 'arm', variant: 'v7' }),
    entryOf(other, { os: 'windows', architecture: 'amd64' }),
    entryOf(absent, { os: 'linux', architecture: 's390x' }),
  );
  const leftOut = [{ digest: digestOf(jsonOf(absent)), platform: 'linux/s390x' }];
  const digest = await rig.gateway.pushManifest(repository, index, {
    mediaType: mediaTypes.ociIndex,
    leftOut,
  });
  const unknown = digestOf(bytesOf('unknown'));
  const { images, described } = await describe(rig, [unknown, digest]);
  assert.equal(described, 2);
  // The empty configuration is a part of both.
  const parts = [index, one, other].map((part) => jsonOf(part).byteLength);
  const blobs = ['one', 'other', '{}'].map((part) => bytesOf(part).byteLength);
  assert.deepEqual(images, [
    {
      digest,
      mediaType: mediaTypes.ociIndex,
      size: jsonOf(index).byteLength,
      total: [...parts, ...blobs].reduce((sum, size) => sum + size, 0),
      missing: 1,
      platforms: ['linux/arm/v7', 'windows/amd64'],
    },
  ]);
});

test('what belongs to an image is listed up to a bound, and its content is named', async () => {
  await using rig = await Rig.open(buses);
  const image = imageOf('image');
  const digest = await rig.gateway.pushImage(repository, 'image');
  const subject = entryOf(image);
  const layer = { ...descriptorOf(bytesOf('bom')), mediaType: 'application/vnd.cyclonedx+json' };
  await rig.gateway.push(repository, bytesOf('bom'));
  const sbom = imageOf('bom', { subject, artifactType: 'application/vnd.cyclonedx+json', layers: [layer] });
  const carrier = await rig.gateway.pushManifest(repository, sbom);
  const { images } = await describe(rig, [digest], true);
  assert.deepEqual(images[0]?.attached, [
    {
      ...{ kind: 'sbom', via: 'referrer', digest: carrier, size: 3 },
      ...{ artifactType: layer.mediaType, content: layer.digest, contentType: layer.mediaType },
    },
  ]);
  for (let count = 0; count < MAX_ATTACHED; count += 1) {
    const note = imageOf('bom', { subject, annotations: { count: String(count) } });
    await rig.gateway.pushManifest(repository, note);
  }
  const more = await describe(rig, [digest], true);
  assert.deepEqual([more.images[0]?.attached?.length, more.images[0]?.moreAttached], [MAX_ATTACHED, true]);
});
