import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  deleteManifest,
  getManifest,
  type LeftOutManifest,
  listLeftOut,
  missingManifests,
  putTag,
} from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { listUnsent } from '#proto/sync/outgoing.ts';
import { bytesOf, descriptorOf, digestOf, fault, imageOf, indexOf, jsonOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const descriptor = (text: string) => descriptorOf(jsonOf(imageOf(text)), mediaTypes.ociManifest);
const [amd64, arm64, s390x] = ['amd64', 'arm64', 's390x'].map(descriptor) as [Child, Child, Child];
type Child = ReturnType<typeof descriptor>;
const platforms = new Map([
  [amd64.digest, 'linux/amd64'],
  [arm64.digest, 'linux/arm64'],
  [s390x.digest, 'linux/s390x'],
]);
const asLeftOut = (...children: Child[]): LeftOutManifest[] =>
  children.map(({ digest }) => ({ digest, platform: platforms.get(digest)! }));
const index = indexOf(amd64, arm64, s390x);
const putIndex = (rig: Rig, document: object, leftOut?: LeftOutManifest[], tag?: string) =>
  rig.syncer.pushManifest(repository, document, {
    mediaType: mediaTypes.ociIndex,
    ...(leftOut && { leftOut, arrived: true }),
    ...(tag !== undefined && { tag }),
  });
const leftOut = async (rig: Rig) =>
  (await rig.syncer.call(listLeftOut, { repository, limit: 100 })).leftOut.map(
    (each) => `${each.platform} of ${each.index}`,
  );
const get = (rig: Rig, { digest }: Child) => rig.gateway.call(getManifest, { repository, reference: digest });

test('an index is served without the manifests that it leaves out, which are reported with their platform', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'amd64', { arrived: true });
  // Only manifests that are named as left out may be absent.
  await assert.rejects(
    putIndex(rig, index, asLeftOut(arm64)),
    fault('manifest-blob-unknown', { digest: s390x.digest }),
  );
  assert.deepEqual(await leftOut(rig), []);
  // A manifest that is present is not left out, even if it is named.
  const digest = await putIndex(rig, index, asLeftOut(amd64, arm64, s390x), 'all');
  assert.deepEqual(new Uint8Array(await rig.gateway.readManifest(repository, 'all')), jsonOf(index));
  assert.equal((await get(rig, amd64)).digest, amd64.digest);
  await assert.rejects(get(rig, arm64), (error) => {
    assert.ok(Fault.is(error, 'manifest-unknown'));
    assert.deepEqual(error.detail, { reference: arm64.digest, leftOut: 'linux/arm64' });
    assert.equal(
      error.message,
      `repository ${repository} has no manifest ${arm64.digest}: the platforms of this repository exclude linux/arm64`,
    );
    return true;
  });
  await assert.rejects(
    rig.gateway.call(putTag, { repository, tag: 'x', digest: s390x.digest }),
    fault('manifest-unknown', { leftOut: 'linux/s390x' }),
  );
  const digests = [amd64, arm64, s390x].map((child) => child.digest);
  const missing = await rig.syncer.call(missingManifests, { repository, digests });
  assert.deepEqual(missing.digests, digests.slice(1));
  await assert.rejects(
    rig.gateway.call(getManifest, { repository: 'lib/other', reference: arm64.digest }),
    fault('name-unknown'),
  );
  const expected = asLeftOut(arm64, s390x).map((each) => ({ ...each, index: digest }));
  expected.sort((a, b) => (a.digest < b.digest ? -1 : 1));
  await rig.restart();
  const first = await rig.syncer.call(listLeftOut, { repository, limit: 1 });
  assert.deepEqual(first, { leftOut: expected.slice(0, 1), more: true });
  const last = { repository, limit: 1, after: `${expected[0]!.digest}!${digest}` };
  assert.deepEqual(await rig.syncer.call(listLeftOut, last), { leftOut: expected.slice(1), more: false });
});

test('a manifest that arrives is no longer left out, also after it is deleted again', async () => {
  await using rig = await Rig.open(buses);
  const digest = await putIndex(rig, index, asLeftOut(amd64, arm64, s390x));
  await rig.gateway.pushImage(repository, 'amd64');
  assert.deepEqual(
    (await leftOut(rig)).toSorted(),
    ['linux/arm64', 'linux/s390x'].map((platform) => `${platform} of ${digest}`),
  );
  await rig.gateway.call(deleteManifest, { repository, digest: amd64.digest });
  await assert.rejects(get(rig, amd64), fault('manifest-unknown', { leftOut: undefined }));
});

test('an index that is put again may leave out fewer manifests; a client may put it under another tag', async () => {
  await using rig = await Rig.open(buses);
  await putIndex(rig, index, asLeftOut(amd64, arm64, s390x), 'all');
  await rig.gateway.pushImage(repository, 'amd64', { arrived: true });
  await rig.gateway.pushImage(repository, 'arm64', { arrived: true });
  const digest = await putIndex(rig, index, asLeftOut(s390x), 'all');
  assert.deepEqual(await leftOut(rig), [`linux/s390x of ${digest}`]);
  assert.equal(await putIndex(rig, index, undefined, 'same'), digest);
  assert.deepEqual(await leftOut(rig), [`linux/s390x of ${digest}`]);
  assert.deepEqual((await rig.syncer.call(listUnsent, { limit: 9 })).manifests, []);
  // That another index leaves it out does not allow this one to lack it.
  await assert.rejects(
    putIndex(rig, indexOf(s390x)),
    fault('manifest-blob-unknown', { digest: s390x.digest }),
  );
});

test("a client can't put an index whose manifests are missing", async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'amd64');
  await assert.rejects(putIndex(rig, index), fault('manifest-blob-unknown', { digest: arm64.digest }));
});

test('a manifest that two indexes leave out stays left out until both are deleted', async () => {
  await using rig = await Rig.open(buses);
  const one = await putIndex(rig, index, asLeftOut(amd64, arm64, s390x));
  const two = await putIndex(rig, indexOf(arm64), asLeftOut(arm64));
  await rig.gateway.call(deleteManifest, { repository, digest: one });
  assert.deepEqual(await leftOut(rig), [`linux/arm64 of ${two}`]);
  await assert.rejects(get(rig, arm64), fault('manifest-unknown', { leftOut: 'linux/arm64' }));
  await assert.rejects(get(rig, s390x), fault('manifest-unknown', { leftOut: undefined }));
  await rig.gateway.call(deleteManifest, { repository, digest: two });
  assert.deepEqual(await leftOut(rig), []);
  await assert.rejects(get(rig, arm64), fault('manifest-unknown', { leftOut: undefined }));
});

test('only manifests can be left out: a config or layer never is', async () => {
  await using rig = await Rig.open(buses);
  const layer = digestOf(bytesOf('layer'));
  await rig.gateway.push(repository, bytesOf('{}'));
  await assert.rejects(
    rig.syncer.pushManifest(repository, imageOf('layer'), {
      arrived: true,
      leftOut: [{ digest: layer, platform: 'linux/amd64' }],
    }),
    fault('manifest-blob-unknown', { digest: layer }),
  );
});

test('garbage collection and scrubbing keep a sparse index and its children', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'amd64', { arrived: true });
  const digest = await putIndex(rig, index, asLeftOut(arm64, s390x), 'all');
  rig.now += 40 * 86_400_000;
  const { blobs, links } = await rig.storage.garbage.collect(false);
  assert.deepEqual([blobs, links], [0, 0]);
  assert.deepEqual((await rig.storage.scrubber.scrub()).damaged, []);
  assert.equal((await get(rig, amd64)).digest, amd64.digest);
  assert.equal((await leftOut(rig)).length, 2);
  await rig.gateway.call(deleteManifest, { repository, digest });
  await rig.gateway.call(deleteManifest, { repository, digest: amd64.digest });
  rig.now += 40 * 86_400_000;
  assert.equal((await rig.storage.garbage.collect(false)).repositories, 1);
});
