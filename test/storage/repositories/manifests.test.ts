import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { linkBlobs, locateBlob } from '#proto/content/blobs.ts';
import { claimTransfer, commitBlob, renewClaim } from '#proto/content/ingests.ts';
import {
  deleteManifest,
  getManifest,
  listReferrers,
  listTags,
  missingManifests,
  putManifest,
} from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_MANIFEST_BYTES, mediaTypes } from '#proto/oci/manifest.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { bytesOf, descriptorOf, digestOf, fault, imageOf, indexOf, jsonOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const asIndex = { mediaType: mediaTypes.ociIndex };

test('a manifest is read by tag and by digest, with its type and its exact bytes', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'layer', { tag: 'v1' });
  const bytes = jsonOf(imageOf('layer'));
  const size = bytes.byteLength;
  for (const reference of ['v1', digest]) {
    const { path: _, ...stored } = await rig.gateway.call(getManifest, { repository, reference });
    assert.deepEqual(stored, { digest, mediaType: mediaTypes.ociManifest, size });
    assert.deepEqual(new Uint8Array(await rig.gateway.readManifest(repository, reference)), bytes);
  }
  const get = (name: string, reference: string) =>
    rig.gateway.call(getManifest, { repository: name, reference });
  await assert.rejects(get(repository, 'v2'), fault('manifest-unknown', { reference: 'v2' }));
  await assert.rejects(get(repository, digestOf(bytesOf('layer'))), fault('manifest-unknown'));
  await assert.rejects(get('lib/none', 'v1'), fault('name-unknown'));
  assert.deepEqual(rig.events.slice(-2), [
    ['manifest.committed', { repository, digest, mediaType: mediaTypes.ociManifest, size }],
    ['tag.moved', { repository, tag: 'v1', digest, mediaType: mediaTypes.ociManifest }],
  ]);
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), []);
});

test('a manifest is not put before its blobs are in its repository', async () => {
  await using rig = await Rig.open(buses);
  const [config, layer] = [bytesOf('{}'), bytesOf('layer')];
  await rig.gateway.push(repository, config);
  await rig.gateway.push('lib/other', layer);
  const put = () => rig.gateway.pushManifest(repository, imageOf('layer'), { tag: 'v1' });
  await assert.rejects(put(), fault('manifest-blob-unknown', { digest: digestOf(layer) }));
  await assert.rejects(
    rig.gateway.call(listTags, { repository: 'lib/none', limit: 1 }),
    fault('name-unknown'),
  );
  assert.deepEqual((await rig.gateway.call(listTags, { repository, limit: 1 })).tags, []);
  await rig.gateway.call(linkBlobs, { repository, digests: [digestOf(layer)], from: 'lib/other' });
  await put();
});

test('foreign layers may be missing', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, bytesOf('{}'));
  const layer = descriptorOf(bytesOf('windows'), 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip');
  await rig.gateway.pushManifest(
    repository,
    imageOf('', { layers: [layer], mediaType: mediaTypes.dockerManifest }),
    {
      mediaType: mediaTypes.dockerManifest,
    },
  );
});

test('an index is not put before its manifests are in its own repository', async () => {
  await using rig = await Rig.open(buses);
  const child = jsonOf(imageOf('layer'));
  const index = indexOf(descriptorOf(child, mediaTypes.ociManifest));
  await rig.gateway.pushImage('lib/other', 'layer');
  const put = () => rig.gateway.pushManifest(repository, index, { ...asIndex, tag: 'all' });
  await assert.rejects(put(), fault('manifest-blob-unknown', { digest: digestOf(child) }));
  // Its bytes as a blob are not the manifest.
  await rig.gateway.push(repository, child);
  await assert.rejects(put(), fault('manifest-blob-unknown'));
  await rig.gateway.pushImage(repository, 'layer');
  const digest = await put();
  const stored = await rig.gateway.call(getManifest, { repository, reference: 'all' });
  assert.deepEqual([stored.digest, stored.mediaType], [digest, mediaTypes.ociIndex]);
  assert.deepEqual(
    await rig.gateway.call(missingManifests, {
      repository,
      digests: [digest, digestOf(child), digestOf(bytesOf('?'))],
    }),
    { digests: [digestOf(bytesOf('?'))] },
  );
});

test('an index may list an entry that is not a manifest if it is present as a blob', async () => {
  await using rig = await Rig.open(buses);
  const blob = bytesOf('some artifact');
  const index = indexOf(descriptorOf(blob, 'application/vnd.example.thing'));
  const put = () => rig.gateway.pushManifest(repository, index, asIndex);
  await assert.rejects(put(), fault('manifest-blob-unknown', { digest: digestOf(blob) }));
  await rig.gateway.push(repository, blob);
  await put();
});

test('docker types are accepted; the types in the manifest and in the request must agree', async () => {
  await using rig = await Rig.open(buses);
  const { dockerManifest, dockerList } = mediaTypes;
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, bytesOf('layer'));
  const image = imageOf('layer', { mediaType: dockerManifest });
  await assert.rejects(
    rig.gateway.pushManifest(repository, image, { mediaType: mediaTypes.ociManifest }),
    (error) => Fault.is(error, 'manifest-invalid') && error.message.includes('/mediaType'),
  );
  await rig.gateway.pushManifest(repository, image, { mediaType: dockerManifest });
  const list = {
    schemaVersion: 2,
    mediaType: dockerList,
    manifests: [descriptorOf(jsonOf(image), dockerManifest)],
  };
  const digest = await rig.gateway.pushManifest(repository, list, { mediaType: dockerList, tag: 'l' });
  const stored = await rig.gateway.call(getManifest, { repository, reference: digest });
  assert.equal(stored.mediaType, dockerList);
});

test('an invalid or too large manifest, or a wrong digest, is refused, and the claim is still held', async () => {
  await using rig = await Rig.open(buses);
  const put = async (
    bytes: Uint8Array,
    code: 'manifest-invalid' | 'digest-invalid' | 'too-large',
    digest = digestOf(bytes),
  ) => {
    const held = await rig.gateway.uploaded(repository, bytes);
    const query = { repository, digest, mediaType: mediaTypes.ociManifest, id: held.id, claim: held.claim };
    await assert.rejects(rig.gateway.call(putManifest, query), fault(code));
    await rig.gateway.call(renewClaim, held);
  };
  await put(bytesOf('{'), 'manifest-invalid');
  await put(jsonOf({ schemaVersion: 1 }), 'manifest-invalid');
  await put(new Uint8Array(), 'manifest-invalid');
  await put(jsonOf(imageOf('layer')), 'digest-invalid', digestOf(bytesOf('else')));
  await put(new Uint8Array(MAX_MANIFEST_BYTES + 1).fill(32), 'too-large');
  assert.equal((await rig.gateway.call(storageStatus, {})).blobs, 0);
  assert.deepEqual(rig.events, []);
});

test('putting a manifest again succeeds and moves its tag, with one event for the manifest', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'one');
  await rig.gateway.pushManifest(repository, imageOf('one'), { tag: 'v1' });
  await rig.gateway.pushManifest(repository, imageOf('one'), { tag: 'v1' });
  assert.deepEqual(await rig.gateway.call(listTags, { repository, limit: 9 }), {
    tags: [{ tag: 'v1', digest }],
    more: false,
  });
  assert.deepEqual(
    rig.events.map(([type]) => type).filter((type) => !type.startsWith('blob')),
    ['manifest.committed', 'tag.moved'],
  );
});

test('a put that is repeated after its answer was lost succeeds', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, bytesOf('layer'));
  const bytes = jsonOf(imageOf('layer'));
  const { id, claim } = await rig.gateway.uploaded(repository, bytes);
  const query = { repository, digest: digestOf(bytes), mediaType: mediaTypes.ociManifest, id, claim };
  const answer = await rig.gateway.call(putManifest, { ...query, tag: 'v' });
  assert.deepEqual(await rig.gateway.call(putManifest, { ...query, tag: 'v' }), answer);
  await assert.rejects(rig.gateway.call(putManifest, { ...query, tag: 'w' }), fault('claim-lost'));
});

test('a manifest may arrive as a transfer, and its content may be present as a blob already', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, bytesOf('layer'));
  const bytes = jsonOf(imageOf('layer'));
  const digest = digestOf(bytes);
  const { id, claim } = await rig.syncer.call(claimTransfer, { digest, size: bytes.byteLength, by: 's' });
  await rig.syncer.write({ id, claim, path: `ingest/${id}`, offset: 0 }, bytes);
  await rig.gateway.push('lib/other', bytes);
  const mediaType = mediaTypes.ociManifest;
  await rig.syncer.call(putManifest, { repository, digest, mediaType, id, claim });
  assert.deepEqual(new Uint8Array(await rig.syncer.readManifest(repository, digest)), bytes);
});

test('the bytes of a manifest are not a blob of its repository until they are linked as one', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'layer');
  const locate = () => rig.gateway.call(locateBlob, { repository, digest });
  await assert.rejects(locate(), fault('blob-unknown'));
  await rig.gateway.call(linkBlobs, { repository, digests: [digest] });
  await rig.gateway.call(deleteManifest, { repository, digest });
  assert.ok(await locate());
});

test('deleting a manifest deletes its tags and nothing else', async () => {
  await using rig = await Rig.open(buses);
  const deleted = await rig.gateway.pushImage(repository, 'gone', { tag: 'a' });
  const other = await rig.gateway.pushImage(repository, 'kept', { tag: 'b' });
  await rig.gateway.pushManifest(repository, imageOf('gone'), { tag: 'c' });
  await rig.gateway.pushImage('lib/other', 'gone', { tag: 'a' });
  rig.events.length = 0;
  await rig.gateway.call(deleteManifest, { repository, digest: deleted });
  assert.deepEqual(rig.events, [
    ['tag.deleted', { repository, tag: 'a', from: deleted }],
    ['tag.deleted', { repository, tag: 'c', from: deleted }],
    ['manifest.deleted', { repository, digest: deleted }],
  ]);
  const { tags } = await rig.gateway.call(listTags, { repository, limit: 9 });
  assert.deepEqual(tags, [{ tag: 'b', digest: other }]);
  await assert.rejects(
    rig.gateway.call(getManifest, { repository, reference: deleted }),
    fault('manifest-unknown'),
  );
  assert.ok(await rig.gateway.readManifest('lib/other', 'a'));
  assert.ok(await rig.gateway.read(repository, digestOf(bytesOf('gone'))));
  await assert.rejects(
    rig.gateway.call(deleteManifest, { repository, digest: deleted }),
    fault('manifest-unknown'),
  );
  await assert.rejects(
    rig.gateway.call(deleteManifest, { repository: 'lib/none', digest: deleted }),
    fault('name-unknown'),
  );
});

test('referrers are listed before their subject exists, by type and in pages, until they are deleted', async () => {
  await using rig = await Rig.open(buses);
  const subject = descriptorOf(jsonOf(imageOf('subject')), mediaTypes.ociManifest);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, bytesOf('sig'));
  const referrers: { digest: string; artifactType: string; annotations: Record<string, string> }[] = [];
  for (let i = 0; i < 5; i += 1) {
    const artifactType = `application/vnd.example.${i % 2 ? 'odd' : 'even'}`;
    const more = { subject, artifactType, annotations: { number: String(i) } };
    const digest = await rig.gateway.pushManifest(repository, imageOf('sig', more));
    referrers.push({ digest, artifactType, annotations: more.annotations });
  }
  referrers.sort((a, b) => (a.digest < b.digest ? -1 : 1));
  const list = (limit: number, more: object = {}) =>
    rig.gateway.call(listReferrers, { repository, digest: subject.digest, limit, ...more });
  const { descriptors, more } = await list(200);
  assert.deepEqual(
    descriptors.map(({ digest, artifactType, annotations }) => ({ digest, artifactType, annotations })),
    referrers,
  );
  assert.ok(descriptors.every(({ mediaType, size }) => mediaType === mediaTypes.ociManifest && size > 100));
  assert.equal(more, false);

  const odd = referrers.filter(({ artifactType }) => artifactType.endsWith('odd'));
  const first = await list(1, { artifactType: odd[0]?.artifactType });
  assert.deepEqual([first.descriptors[0]?.digest, first.more], [odd[0]?.digest, true]);
  const second = await list(1, { artifactType: odd[0]?.artifactType, after: odd[0]?.digest });
  assert.deepEqual([second.descriptors[0]?.digest, second.more], [odd[1]?.digest, false]);

  await rig.gateway.call(deleteManifest, { repository, digest: referrers[0]!.digest });
  assert.equal((await list(200)).descriptors.length, 4);
  const none = { repository: 'lib/none', digest: subject.digest, limit: 1 };
  assert.deepEqual(await rig.gateway.call(listReferrers, none), { descriptors: [], more: false });
});

test('a referrer without an artifact type has that of its config; the answer to its put names its subject', async () => {
  await using rig = await Rig.open(buses);
  const subject = descriptorOf(jsonOf(imageOf('subject')), mediaTypes.ociManifest);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, bytesOf('sig'));
  const bytes = jsonOf(imageOf('sig', { subject }));
  const { id, claim } = await rig.gateway.uploaded(repository, bytes);
  const query = { repository, digest: digestOf(bytes), mediaType: mediaTypes.ociManifest, id, claim };
  const answer = await rig.gateway.call(putManifest, query);
  assert.equal(answer.subject, subject.digest);
  const { descriptors } = await rig.gateway.call(listReferrers, {
    repository,
    digest: subject.digest,
    limit: 1,
  });
  assert.equal(descriptors[0]?.artifactType, 'application/vnd.oci.empty.v1+json');
});

test('pages of referrers with large annotations fit into a message', async () => {
  await using rig = await Rig.open(buses);
  const subject = descriptorOf(jsonOf(imageOf('subject')), mediaTypes.ociManifest);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, bytesOf('sig'));
  const large = Array.from({ length: 5 }, () => 300_000);
  for (const [i, size] of [...large, 3_000_000].entries()) {
    const annotations = { note: `${i}`.repeat(size) };
    await rig.gateway.pushManifest(repository, imageOf('sig', { subject, annotations }));
  }
  const found: (number | undefined)[] = [];
  let last: string | undefined;
  for (let more = true; more; ) {
    const query = { repository, digest: subject.digest, limit: 200, ...(last && { after: last }) };
    const page = await rig.gateway.call(listReferrers, query);
    assert.ok(page.descriptors.length > 0);
    found.push(...page.descriptors.map(({ annotations }) => annotations?.note?.length));
    last = page.descriptors.at(-1)?.digest;
    more = page.more;
  }
  const sizes = found.toSorted((a, b) => (a ?? 0) - (b ?? 0));
  assert.deepEqual(sizes, [...large, undefined]);
});

test("content that is committed as a blob can't be read as a manifest", async () => {
  await using rig = await Rig.open(buses);
  const bytes = jsonOf(imageOf('layer'));
  const { id, claim } = await rig.gateway.uploaded(repository, bytes);
  await rig.gateway.call(commitBlob, { id, claim, digest: digestOf(bytes), repository });
  await assert.rejects(
    rig.gateway.call(getManifest, { repository, reference: digestOf(bytes) }),
    fault('manifest-unknown'),
  );
});

test('a manifest is committed from the request', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'inline');
  const mediaType = mediaTypes.ociManifest;
  const bytes = jsonOf(imageOf('inline', { annotations: { sent: 'in the request' } }));
  const query = { repository, digest: digestOf(bytes), mediaType, bytes, tag: 'v' };
  assert.deepEqual(await rig.gateway.call(putManifest, query), {
    digest: digestOf(bytes),
    size: bytes.byteLength,
  });
  assert.deepEqual(Buffer.from(await rig.gateway.readManifest(repository, 'v')), Buffer.from(bytes));
  const wrong = { ...query, digest: digestOf(bytesOf('other')), tag: 'w' };
  await assert.rejects(rig.gateway.call(putManifest, wrong), fault('digest-invalid'));
  const incomplete = jsonOf(imageOf('not here'));
  await assert.rejects(
    rig.gateway.call(putManifest, { ...query, digest: digestOf(incomplete), bytes: incomplete }),
    fault('manifest-blob-unknown'),
  );
  const { bytes: _, ...contentless } = query;
  await assert.rejects(rig.gateway.call(putManifest, contentless), fault('malformed'));
  const left = await readdir(join(rig.data, 'ingest'));
  assert.deepEqual(
    left.filter((name) => name.startsWith('new-')),
    [],
  );
});

test('with `link`, a manifest links the blobs that are here', async () => {
  await using rig = await Rig.open(buses);
  const repository = 'lib/linked';
  await rig.gateway.pushImage('lib/source', 'linked');
  const bytes = jsonOf(imageOf('linked'));
  const query = { repository, digest: digestOf(bytes), mediaType: mediaTypes.ociManifest, bytes };
  await assert.rejects(rig.syncer.call(putManifest, query), fault('manifest-blob-unknown'));
  await rig.syncer.call(putManifest, { ...query, link: true });
  await rig.gateway.call(locateBlob, { repository, digest: digestOf(bytesOf('linked')) });
  const other = jsonOf(imageOf('nowhere'));
  await assert.rejects(
    rig.syncer.call(putManifest, { ...query, digest: digestOf(other), bytes: other, link: true }),
    fault('manifest-blob-unknown'),
  );
});
