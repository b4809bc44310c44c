import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingBlobs } from '#proto/content/blobs.ts';
import type { HeldContent } from '#proto/content/held-content.ts';
import { claimTransfer, commitBlob, startUpload } from '#proto/content/ingests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { bytesOf, descriptorOf, digestOf, imageOf, jsonOf, Rig, random } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** What garbage collection leaves is named, with the reason, and until when. */

const buses = await sharedBuses();

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const repository = 'lib/app';

async function heldIn(rig: Rig, options: { endsGrace?: boolean } = {}): Promise<Record<string, HeldContent>> {
  const { held = [] } = await rig.storage.garbage.collect(true, { explain: true, ...options });
  return Object.fromEntries(held.map((one) => [one.reason, one]));
}

const isPresent = async (rig: Rig, digest: string) =>
  (await rig.gateway.call(missingBlobs, { digests: [digest] })).digests.length === 0;

test('each blob counts for one reason, and nothing is left unexplained', async () => {
  await using rig = await Rig.open(buses);
  const tagged = imageOf('tagged');
  await rig.gateway.pushImage(repository, 'tagged', { tag: 'v1' });
  await rig.gateway.pushImage(repository, 'untagged');
  // It shares a layer with the tagged image: that counts there.
  const subject = { ...descriptorOf(jsonOf(tagged)), mediaType: mediaTypes.ociManifest };
  await rig.gateway.push(repository, bytesOf('signature'));
  await rig.gateway.pushManifest(repository, imageOf('signature', { subject }));
  rig.now += HOUR;
  // From here on within its grace.
  const recent = await rig.gateway.push('lib/other', random(1_000));
  const upload = await rig.gateway.call(startUpload, { repository: 'lib/new', by: 'a', hold: true });
  await rig.gateway.write(upload, random(300));
  const size = (text: string) => bytesOf(text).byteLength;
  const sizeOf = (text: string, more: object = {}) => jsonOf(imageOf(text, more)).byteLength + size(text);

  const held = await heldIn(rig);
  assert.deepEqual(Object.keys(held).sort(), ['grace', 'referrer', 'tagged', 'untagged', 'upload']);
  assert.deepEqual(held.tagged, { reason: 'tagged', count: 3, bytes: sizeOf('tagged') + 2, manifests: 1 });
  assert.deepEqual(held.untagged, {
    ...{ reason: 'untagged', count: 2, bytes: sizeOf('untagged'), manifests: 1 },
  });
  assert.deepEqual(held.referrer, {
    ...{ reason: 'referrer', count: 2, bytes: sizeOf('signature', { subject }), manifests: 1 },
  });
  assert.deepEqual(held.grace, {
    ...{ reason: 'grace', count: 1, bytes: 1_000, from: rig.now + HOUR, until: rig.now + HOUR },
  });
  const uploadEnd = rig.now + DAY;
  assert.deepEqual([held.upload?.count, held.upload?.until], [1, uploadEnd]);
  assert.ok((held.upload?.bytes ?? 0) >= 300);

  // A blob that came over the link waits for its image.
  const bytes = random(500);
  const wanted = { digest: digestOf(bytes), size: bytes.byteLength, repository };
  const { id, claim, path } = await rig.syncer.call(claimTransfer, { ...wanted, by: 's' });
  await rig.syncer.write({ id, claim, path, offset: 0 }, bytes);
  await rig.syncer.call(commitBlob, { id, claim, digest: wanted.digest, size: 500 });
  rig.now += 2 * HOUR;
  assert.deepEqual(await heldIn(rig).then(({ transfer }) => transfer), {
    ...{ reason: 'transfer', count: 1, bytes: 500 },
    ...{ from: rig.now - 2 * HOUR + 30 * DAY, until: rig.now - 2 * HOUR + 30 * DAY },
  });
  assert.equal(await isPresent(rig, recent), true, 'a dry run deletes nothing');
});

test('on request, the grace ends at once: of nothing that a manifest names, and of no repository with an upload', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'kept', { tag: 'v1' });
  const loose = await rig.gateway.push('lib/loose', random(1_000));
  const promised = await rig.gateway.push('lib/open', random(2_000));
  await rig.gateway.call(startUpload, { repository: 'lib/open', by: 'a', hold: true });
  assert.equal((await rig.storage.garbage.collect(false)).blobs, 0, 'both are within their grace');
  assert.equal((await heldIn(rig)).grace?.count, 2);
  const after = await heldIn(rig, { endsGrace: true });
  assert.deepEqual([after.grace, after['open-upload']?.count], [undefined, 1]);
  const { blobs, bytes } = await rig.storage.garbage.collect(false, { endsGrace: true });
  assert.deepEqual([blobs, bytes], [1, 1_000]);
  assert.deepEqual([await isPresent(rig, loose), await isPresent(rig, promised)], [false, true]);
  assert.equal(await isPresent(rig, digestOf(bytesOf('kept'))), true);
});
