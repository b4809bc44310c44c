import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  deleteManifest,
  deleteSynchronized,
  getManifest,
  listBases,
  listLeftOut,
  listReferrers,
  listRepositories,
  listTags,
  missingManifests,
  putTag,
  setBases,
} from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { getSession, listParked, listUnsent, park, storeSession } from '#proto/sync/outgoing.ts';
import { bytesOf, descriptorOf, digestOf, imageOf, indexOf, jsonOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const limit = 100;
const refusal = { code: 'denied', reason: 'no', since: 1, attempts: 1, retry: 2 };
const agreed = { arrived: true, base: true } as const;
const deleteIn = (rig: Rig) => rig.syncer.call(deleteSynchronized, { repository });
const tags = async (rig: Rig) => (await rig.gateway.call(listTags, { repository, limit })).tags;
const bases = async (rig: Rig) => (await rig.syncer.call(listBases, { repository, limit })).tags;
const parked = async (rig: Rig) =>
  (await rig.syncer.call(listParked, { limit })).parked.map(({ reference }) => reference);

test('content from the parent is deleted with all its records, and other repositories stay', async () => {
  await using rig = await Rig.open(buses);
  const one = await rig.gateway.pushImage(repository, 'one', { tag: 'v1', ...agreed });
  const two = await rig.gateway.pushImage(repository, 'two', { tag: 'v2', ...agreed });
  const deletedBefore = await rig.gateway.pushImage(repository, 'gone', { arrived: true });
  const subject = descriptorOf(jsonOf(imageOf('one')), mediaTypes.ociManifest);
  const referrer = await rig.gateway.pushManifest(repository, imageOf('two', { subject }), {
    arrived: true,
  });
  const absent = descriptorOf(jsonOf(imageOf('absent')), mediaTypes.ociManifest);
  const index = await rig.gateway.pushManifest(repository, indexOf(subject, absent), {
    mediaType: mediaTypes.ociIndex,
    arrived: true,
    leftOut: [{ digest: absent.digest, platform: 'linux/arm64' }],
  });
  await rig.gateway.call(deleteManifest, { repository, digest: deletedBefore });
  await rig.syncer.call(setBases, { repository, bases: [{ tag: 'deleted-here', digest: deletedBefore }] });
  await rig.syncer.call(park, { repository, reference: 'deleted-here', ...refusal });
  const layer = digestOf(bytesOf('one'));
  await rig.syncer.call(storeSession, { repository, digest: layer, location: '/upload' });
  const other = await rig.gateway.pushImage('lib/app-2', 'one', { tag: 'v1', ...agreed });
  rig.events.length = 0;

  assert.deepEqual(await deleteIn(rig), { tags: 2, manifests: 4 });

  assert.deepEqual(await tags(rig), []);
  assert.deepEqual(await bases(rig), []);
  const digests = [one, two, referrer, index];
  assert.deepEqual((await rig.syncer.call(missingManifests, { repository, digests })).digests, digests);
  const referrers = { repository, digest: one, limit };
  assert.deepEqual((await rig.gateway.call(listReferrers, referrers)).descriptors, []);
  assert.deepEqual((await rig.syncer.call(listLeftOut, { repository, limit })).leftOut, []);
  assert.deepEqual(await rig.syncer.call(getSession, { repository, digest: layer }), {});
  assert.deepEqual((await rig.gateway.call(storageStatus, {})).outgoing, {
    unsent: 0,
    withdrawn: 0,
    parked: 0,
  });
  assert.deepEqual(rig.events.slice(0, 2), [
    ['tag.deleted', { repository, tag: 'v1', from: one, arrived: true }],
    ['tag.deleted', { repository, tag: 'v2', from: two, arrived: true }],
  ]);
  const deleted = rig.events.slice(2);
  // The index first: no reader finds an index whose children are deleted.
  assert.deepEqual(deleted[0], ['manifest.deleted', { repository, digest: index, arrived: true }]);
  assert.deepEqual(
    deleted.map(([type, data]) => [type, (data as { digest: string }).digest]).toSorted(),
    digests.map((digest) => ['manifest.deleted', digest]).toSorted(),
  );
  const reference = { repository: 'lib/app-2', reference: 'v1' };
  assert.equal((await rig.gateway.call(getManifest, reference)).digest, other);

  // A second run has nothing to do; garbage collection deletes the content.
  assert.deepEqual(await deleteIn(rig), { tags: 0, manifests: 0 });
  rig.now += 40 * 86_400_000;
  await rig.storage.garbage.collect(false);
  assert.deepEqual((await rig.gateway.call(listRepositories, { limit })).repositories, ['lib/app-2']);
  assert.deepEqual(await rig.syncer.call(deleteSynchronized, { repository: 'lib/never' }), {
    tags: 0,
    manifests: 0,
  });
});

test('a tag without an agreement stays, and with it every manifest and every unsent record', async () => {
  await using rig = await Rig.open(buses);
  const one = await rig.gateway.pushImage(repository, 'one', { tag: 'v1', ...agreed });
  await rig.gateway.call(putTag, { repository, tag: 'moved', digest: one, base: true });
  const own = await rig.gateway.pushImage(repository, 'own', { tag: 'own' });
  await rig.gateway.call(putTag, { repository, tag: 'moved', digest: own });
  const agreedAndDeleted = await rig.gateway.pushImage(repository, 'gone', { arrived: true });
  await rig.gateway.call(deleteManifest, { repository, digest: agreedAndDeleted });
  for (const reference of ['v1', 'own', one, own]) {
    await rig.syncer.call(park, { repository, reference, ...refusal });
  }
  assert.deepEqual(await deleteIn(rig), { tags: 1, manifests: 0 });
  assert.deepEqual(await tags(rig), [
    { tag: 'moved', digest: own },
    { tag: 'own', digest: own },
  ]);
  assert.deepEqual(await bases(rig), []);
  assert.ok(await rig.gateway.readManifest(repository, one));
  const { manifests } = await rig.syncer.call(listUnsent, { limit });
  assert.deepEqual(
    manifests.map(({ digest }) => digest),
    [own],
  );
  assert.deepEqual(await parked(rig), ['own', own].toSorted());
  assert.equal((await rig.gateway.call(storageStatus, {})).outgoing.withdrawn, 0);
});

test('an untagged manifest that was never sent to the parent stays', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'one', { tag: 'v1', ...agreed });
  const own = await rig.gateway.pushImage(repository, 'own');
  assert.deepEqual(await deleteIn(rig), { tags: 1, manifests: 0 });
  assert.ok(await rig.gateway.readManifest(repository, own));
});

test('a repository of many manifests is cleaned in several batches', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, bytesOf('layer'));
  const numbers = Array.from({ length: 300 }, (_, i) => i);
  const put = async (number: number) => {
    const annotations = { number: String(number) };
    const tag = `v${number}`;
    return rig.gateway.pushManifest(repository, imageOf('layer', { annotations }), { tag, ...agreed });
  };
  while (numbers.length > 0) await Promise.all(numbers.splice(0, 50).map(put));
  assert.deepEqual(await deleteIn(rig), { tags: 300, manifests: 300 });
  const { tags: count, outgoing } = await rig.gateway.call(storageStatus, {});
  assert.deepEqual([count, outgoing.unsent], [0, 0]);
});
