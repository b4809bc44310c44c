import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { Clients } from '../support/registry/clients.ts';
import { type Cloud, startCloud } from '../support/registry/cloud.ts';
import {
  deleteManifest,
  firstDifference,
  getManifest,
  pushArtifact,
  pushImage,
  pushIndex,
  referrersOf,
  tagImage,
  tagsOf,
} from '../support/registry/image.ts';
import { moveShellTag, pushRealImages, type RealImages } from '../support/registry/real-images.ts';

/** cloud → top layer → bottom layer, whose only parent is the top one. Each test has a repository of its own. */

const full = process.env.TERRACE_FULL === '1';
const stack = new AsyncDisposableStack();
let cloud: Cloud;
let top: TestLayer;
let bottom: TestLayer;
let images: RealImages;

before(async () => {
  cloud = stack.use(await startCloud());
  images = await pushRealImages(cloud, full ? {} : { largeLayer: 12 * 1024 * 1024 });
  top = stack.use(
    await testLayer({ name: 'top', parent: cloud.url, repositories: ['*'], compact: 'hosted' }),
  );
  bottom = stack.use(
    await testLayer({ compact: 'hosted', name: 'bottom', parent: top.url, repositories: ['*'] }),
  );
});
after(() => stack.disposeAsync());

/** One pass in each layer, top first. */
async function syncAll(): Promise<void> {
  for (const layer of [top, bottom]) {
    const { ok, failures } = await layer.sync();
    assert.ok(ok, JSON.stringify(failures));
  }
}

test('real images reach the bottom byte for byte, and podman pulls them there', async () => {
  await syncAll();
  assert.equal(await firstDifference(cloud.host, bottom.host, images.repositories), undefined);
  assert.equal(await firstDifference(cloud.host, top.host, images.repositories), undefined);
  await using clients = await Clients.create();
  // One of each kind: an index, and a single image.
  for (const name of full ? images.pullable : images.pullable.slice(0, 2)) {
    const [repository, tag] = name.split(':') as [string, string];
    const id = await clients.podman('pull', '-q', '--tls-verify=false', `${bottom.host}/${name}`);
    const [image] = JSON.parse(await clients.podman('image', 'inspect', id)) as [{ RepoDigests: string[] }];
    const { digest } = (await getManifest(cloud.host, repository, tag)) ?? {};
    assert.ok(
      image.RepoDigests.some((known) => known.endsWith(`@${digest}`)),
      `${name} is ${digest} in the cloud, ${image.RepoDigests} here`,
    );
  }
});

test('the SBOM of an image is found at the bottom', async () => {
  await syncAll();
  assert.deepEqual(await referrersOf(bottom.host, 'debian/shell', images.shell.digest), [images.sbom.digest]);
});

test('a tag moved in the cloud moves at the bottom', async () => {
  const old = await pushImage(cloud.host, 'moving/one', 'latest', { layers: [10_000, 20_000] });
  await syncAll();
  assert.equal((await getManifest(bottom.host, 'moving/one', 'latest'))?.digest, old.digest);
  await moveShellTag(cloud, 'moved', 'moving/one:latest');
  await syncAll();
  assert.equal(await firstDifference(cloud.host, bottom.host, ['moving/one']), undefined);
  assert.notEqual((await getManifest(bottom.host, 'moving/one', 'latest'))?.digest, old.digest);
});

test('a tag deleted in the cloud is deleted at the bottom, and the others stay', async () => {
  await pushImage(cloud.host, 'deleting', 'deleted', { layers: [1_000, 2_000] });
  await pushImage(cloud.host, 'deleting', 'stays', { layers: [2_000, 3_000] });
  await syncAll();
  assert.deepEqual(await tagsOf(bottom.host, 'deleting'), ['deleted', 'stays']);
  await deleteManifest(cloud.host, 'deleting', 'deleted');
  await syncAll();
  assert.deepEqual(await tagsOf(bottom.host, 'deleting'), ['stays']);
  assert.equal(await firstDifference(cloud.host, bottom.host, ['deleting']), undefined);
});

test('a referrer added later arrives, and so does a referrer of it', async () => {
  const image = await pushImage(cloud.host, 'signed', '1');
  await syncAll();
  const sbom = await pushArtifact(cloud.host, 'signed', { subject: image });
  const signature = await pushArtifact(cloud.host, 'signed', {
    subject: sbom,
    artifactType: 'application/vnd.example.signature',
  });
  await syncAll();
  assert.deepEqual(await referrersOf(bottom.host, 'signed', image.digest), [sbom.digest]);
  assert.deepEqual(await referrersOf(bottom.host, 'signed', sbom.digest), [signature.digest]);
  assert.equal(await firstDifference(cloud.host, bottom.host, ['signed']), undefined);
});

test('an index of indexes arrives with all content that it names, in both formats', async () => {
  const child = (architecture: string, format: 'oci' | 'docker') =>
    pushImage(cloud.host, 'nested', undefined, { format, platform: { os: 'linux', architecture } });
  const inner = await pushIndex(cloud.host, 'nested', undefined, [await child('amd64', 'oci')]);
  await pushIndex(cloud.host, 'nested', 'outer', [inner, await child('arm64', 'oci')]);
  const list = await pushIndex(cloud.host, 'nested', 'list', [await child('s390x', 'docker')], {
    format: 'docker',
  });
  await tagImage(cloud.host, 'nested', list, 'same');
  await syncAll();
  assert.equal(await firstDifference(cloud.host, bottom.host, ['nested']), undefined);
});
