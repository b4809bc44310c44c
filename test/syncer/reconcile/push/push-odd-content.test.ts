import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import {
  deleteManifest,
  pushArtifact,
  pushBlob,
  pushImage,
  pushIndex,
  pushManifest,
} from '../../../support/registry/image.ts';
import { request } from '../../../support/registry/registry.ts';
import {
  type Quirk,
  type ScriptedRegistry,
  scriptedRegistry,
} from '../../../support/registry/scripted/scripted-registry.ts';
import { SyncerRig } from '../../syncer-rig.ts';

/** Content that few clients push, to a parent without the referrers API. Each test has a parent of its own. */
let rig: SyncerRig;
let url: string;

before(async () => {
  rig = await SyncerRig.start('http://127.0.0.1:1', {}, ['one']);
  url = rig.layer.url;
});
after(() => rig[Symbol.asyncDispose]());

const withoutReferrers: Quirk = ({ method, path }, regular) => {
  if (path.includes('/referrers/')) return { status: 404 };
  if (method !== 'PUT' || !path.includes('/manifests/')) return undefined;
  const { headers: { 'oci-subject': _subject, ...headers } = {}, ...reply } = regular();
  return { ...reply, headers };
};

/** The parent of a repository. */
async function parentOf(repository: string, quirk: Quirk = withoutReferrers): Promise<ScriptedRegistry> {
  const registry = await scriptedRegistry({ quirk });
  const parent = { url: registry.url };
  await rig.reconfigureWith({ parent, repositories: [repository], mode: 'ReadWrite', schedule: '0 0 1 1 *' });
  return registry;
}

/** A pass that pushes everything. */
async function pushed(): Promise<PassResult> {
  const result = await rig.pass();
  assert.deepEqual(result.failures, []);
  return result;
}

const listTag = ({ digest }: Descriptor) => digest.replace(':', '-');
const entriesOf = (registry: ScriptedRegistry, repository: string, tag: string): string[] => {
  const { tags, manifests } = registry.content.of(repository);
  const { bytes } = manifests.get(tags.get(tag) ?? '') ?? {};
  return JSON.parse(bytes?.toString() ?? '{}').manifests?.map(({ digest }: Descriptor) => digest);
};

test('an index whose entries are blobs is pushed with them', async () => {
  await using parent = await parentOf('cache');
  const layer = await pushBlob(url, 'cache', Buffer.from('a cached layer'));
  const config = await pushBlob(url, 'cache', Buffer.from('{"layers":[]}'));
  const { digest } = await pushIndex(url, 'cache', 'latest', [
    { ...layer, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' },
    { ...config, mediaType: 'application/vnd.buildkit.cacheconfig.v0' },
  ]);
  await pushed();
  const stored = parent.content.of('cache');
  assert.equal(stored.tags.get('latest'), digest);
  assert.deepEqual([...stored.blobs.keys()].sort(), [layer.digest, config.digest].sort());
});

test('foreign layers that this layer has are pushed, and others are not asked for', async () => {
  await using parent = await parentOf('windows');
  const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
  const urls = ['https://layers.example/base'];
  const here = { ...(await pushBlob(url, 'windows', Buffer.from('a base layer'))), mediaType, urls };
  const elsewhere = { mediaType, digest: `sha256:${'e'.repeat(64)}`, size: 7, urls };
  const config = {
    ...(await pushBlob(url, 'windows', Buffer.from('{}'))),
    mediaType: 'application/vnd.docker.container.image.v1+json',
  };
  await pushManifest(url, 'windows', 'v1', mediaTypes.dockerManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.dockerManifest,
    config,
    layers: [here, elsewhere],
  });
  await pushed();
  const stored = parent.content.of('windows');
  assert.ok(stored.tags.has('v1'));
  assert.deepEqual([...stored.blobs.keys()].sort(), [here.digest, config.digest].sort());
  assert.equal(parent.count('HEAD', new RegExp(elsewhere.digest)), 0);
});

test('an image that has a wrong size of a layer goes up to another parent with all of its bytes', async () => {
  await using first = await parentOf('sizes');
  const image = first.content.image('sizes', 'v1', {
    layers: ['a layer', 'another one'],
    edit: (document) => ({
      ...document,
      layers: document.layers.map((one, at) => (at === 0 ? { ...one, size: 3 } : { ...one, size: -1 })),
    }),
  });
  assert.equal((await rig.pass()).taken, 1);
  await using second = await parentOf('sizes');
  await pushed();
  const { tags, blobs } = second.content.of('sizes');
  assert.equal(tags.get('v1'), image.digest);
  for (const { digest } of [image.config, ...image.layers]) assert.ok(blobs.has(digest));
});

test('an image with a sha512 digest that the parent refuses is reported with the remedy, and not sent again', async () => {
  // The registry knows sha256 only.
  await using parent = await parentOf('long', ({ url, path }) =>
    `${path}${url.search}`.includes('sha512') ? { status: 400 } : undefined,
  );
  const bytes = Buffer.from('a layer');
  const digest = `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
  const uploads = '/v2/long/blobs/uploads/?digest-algorithm=sha512';
  const begun = await request(url, uploads, { method: 'POST' });
  const end = new URL(begun.headers.get('location') ?? '', url);
  end.searchParams.set('digest', digest);
  const put = await request(url, `${end.pathname}${end.search}`, { method: 'PUT', body: bytes });
  assert.equal(put.status, 201);
  const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: bytes.length };
  const config = await pushBlob(url, 'long', Buffer.from('{}'));
  const mediaType = mediaTypes.ociManifest;
  await pushManifest(url, 'long', 'v1', mediaType, { schemaVersion: 2, mediaType, config, layers: [layer] });
  await pushImage(url, 'long', 'other');
  const result = await rig.pass();
  assert.deepEqual([...parent.content.of('long').tags.keys()], ['other']);
  assert.equal(result.failed, 0);
  assert.match(
    result.failures[0]?.reason ?? '',
    /may take no sha512 digests; push the image with sha256 digests/,
  );
  const sent = parent.uploadedBytes;
  await rig.pass();
  assert.equal(parent.uploadedBytes, sent);
});

/** A registry that resolves `sha256-<hex>` to the manifest with that digest, while no tag has this name. */
const resolvingDigests =
  (isHiding: boolean): Quirk =>
  (request, regular) => {
    const [, repository, hex] = /^\/v2\/(.+)\/manifests\/sha256-([0-9a-f]{64})$/.exec(request.path) ?? [];
    if (!hex || !repository || request.method === 'PUT') return withoutReferrers(request, regular);
    const reply = regular();
    if (reply.status === 200 && !isHiding) return reply;
    return alias(`/v2/${repository}/manifests/sha256:${hex}`);
  };
let alias: (path: string) => ReturnType<Quirk>;

async function signedIndex(repository: string): Promise<{ index: Descriptor; note: Descriptor }> {
  const images = await Promise.all(
    ['amd64', 'arm64'].map((architecture) =>
      pushImage(url, repository, undefined, { platform: { os: 'linux', architecture } }),
    ),
  );
  const index = await pushIndex(url, repository, 'v1', images);
  await pushed();
  return { index, note: await pushArtifact(url, repository, { subject: index }) };
}

for (const isHiding of [false, true]) {
  test(`platforms of an image do not become its referrers at a parent that resolves the tag of the list to the image, ${isHiding ? 'always' : 'while there is none'}`, async () => {
    const repository = isHiding ? 'hiding' : 'resolving';
    await using parent = await parentOf(repository, resolvingDigests(isHiding));
    alias = (path) => {
      const digest = path.slice(path.lastIndexOf('/') + 1);
      const found = parent.content.of(repository).manifests.get(digest);
      if (!found) return { status: 404 };
      const headers = { 'content-type': found.mediaType, 'docker-content-digest': digest };
      return { status: 200, headers, body: found.bytes };
    };
    const { index, note } = await signedIndex(repository);
    const result = await rig.pass();
    assert.ok(parent.content.of(repository).manifests.has(note.digest));
    assert.deepEqual(entriesOf(parent, repository, listTag(index)), [note.digest]);
    if (!isHiding) return assert.deepEqual(result.failures, []);
    assert.match(result.failures[0]?.reason ?? '', /has no referrers API.*with the image itself/);
    const puts = () => parent.count('PUT', /manifests\/sha256-/);
    const before = puts();
    await rig.pass({ full: true });
    assert.equal(puts(), before, 'what can not be read is not written again');
  });
}

test('other content under the tag of a list is left as it is, and reported', async () => {
  await using parent = await parentOf('other');
  const { index, note } = await signedIndex('other');
  const theirs = parent.content.image('other', listTag(index));
  const result = await rig.pass();
  assert.ok(parent.content.of('other').manifests.has(note.digest));
  assert.equal(parent.content.of('other').tags.get(listTag(index)), theirs.digest);
  assert.match(result.failures.at(-1)?.reason ?? '', /is no list of referrers, and is left as it is/);
  await deleteManifest(url, 'other', note.digest);
});
