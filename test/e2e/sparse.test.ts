import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { FaultProxy } from '../support/proxy/fault-proxy.ts';
import { Clients } from '../support/registry/clients.ts';
import { type Cloud, startCloud } from '../support/registry/cloud.ts';
import {
  getManifest,
  pushArtifact,
  pushBlob,
  pushManifest,
  referrersOf,
  tagsOf,
} from '../support/registry/image.ts';
import type { Pushed } from '../support/registry/registry.ts';
import { pushTar } from '../support/registry/tar.ts';

/**
 * Indexes of three platforms in the cloud, a layer that selects one platform of the highest version, and a layer below
 * it. The tests build on each other.
 */

const REPOSITORY = 'multi/app';
const ARCHITECTURES = ['amd64', 'arm64', 's390x'] as const;
const SIZE = 200_000;
const insecure = '--tls-verify=false';

type Child = Descriptor & { bytes: number };
type Multi = { index: Pushed; children: Record<(typeof ARCHITECTURES)[number], Child>; attestation: Child };

const stack = new AsyncDisposableStack();
let folder: string;
let configFile: string;
let cloud: Cloud;
let proxy: FaultProxy;
let layer: TestLayer;
let below: TestLayer;
let clients: Clients;
const images: Record<string, Multi> = {};
let signature: Pushed;

const configure = (platforms: string[]) =>
  writeFile(
    configFile,
    JSON.stringify({
      parent: { url: proxy.url },
      repositories: [{ name: 'multi/*', platforms, tags: { semver: '>=1.1', latest: 1 } }],
    }),
  );

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-sparse-'));
  configFile = join(folder, 'layer.yaml');
  cloud = stack.use(await startCloud());
  for (const tag of ['1.0.0', '1.1.0', '1.2.0', 'edge']) images[tag] = await pushMulti(tag);
  signature = await pushArtifact(cloud.host, REPOSITORY, { subject: images['1.2.0']!.index });
  proxy = stack.use(await FaultProxy.start(cloud.url));
  await configure(['linux/arm64']);
  layer = stack.use(await testLayer({ name: 'sparse', configFile, compact: 'hosted' }));
  below = stack.use(
    await testLayer({ name: 'below', parent: layer.url, repositories: ['*'], compact: 'hosted' }),
  );
  clients = stack.use(await Clients.create());
  const { failures } = await layer.sync();
  assert.deepEqual(failures, []);
});
after(async () => {
  await stack.disposeAsync();
  await rm(folder, { recursive: true, force: true });
});

/** Pushes an index of three platforms and the attestation of one of them, as build tools do. */
async function pushMulti(tag: string): Promise<Multi> {
  const entries = [];
  for (const architecture of ARCHITECTURES) entries.push([architecture, await pushChild(tag, architecture)]);
  const children = Object.fromEntries(entries) as Multi['children'];
  const { bytes: _bytes, ...about } = await pushArtifact(cloud.host, REPOSITORY, {
    artifactType: 'application/vnd.in-toto+json',
    layers: [Buffer.from(`{"built":"${tag}"}`)],
  });
  const attestation = { ...about, bytes: 0 };
  const mediaType = mediaTypes.ociIndex;
  const index = await pushManifest(cloud.host, REPOSITORY, tag, mediaType, {
    schemaVersion: 2,
    mediaType,
    manifests: [
      ...ARCHITECTURES.map((architecture) => ({
        ...descriptorOf(children[architecture]),
        platform: { os: 'linux', architecture },
      })),
      {
        ...descriptorOf(attestation),
        platform: { os: 'unknown', architecture: 'unknown' },
        annotations: {
          'vnd.docker.reference.type': 'attestation-manifest',
          'vnd.docker.reference.digest': children.arm64.digest,
        },
      },
    ],
  });
  return { index, children, attestation };
}

const descriptorOf = ({ mediaType, digest, size }: Descriptor) => ({ mediaType, digest, size });

/** Pushes an image that clients can unpack. */
async function pushChild(tag: string, architecture: string): Promise<Child> {
  const tar = await pushTar(cloud.host, REPOSITORY, 'noise', { seed: `${tag} ${architecture}`, size: SIZE });
  const rootfs = { type: 'layers', diff_ids: [tar.digest] };
  const document = { os: 'linux', architecture, config: {}, rootfs };
  const config = await pushBlob(cloud.host, REPOSITORY, Buffer.from(JSON.stringify(document)));
  const mediaType = mediaTypes.ociManifest;
  const pushed = await pushManifest(cloud.host, REPOSITORY, undefined, mediaType, {
    schemaVersion: 2,
    mediaType,
    config: { ...config, mediaType: 'application/vnd.oci.image.config.v1+json' },
    layers: [tar],
  });
  return { ...descriptorOf(pushed), bytes: tar.size + config.size };
}

const statusOf = async (host: string, digest: string) =>
  (await fetch(`http://${host}/v2/${REPOSITORY}/manifests/${digest}`)).status;

test('only the selected tag is taken, with the selected platform, its attestation and the referrer of its index', async (t) => {
  const { index, children, attestation } = images['1.2.0']!;
  const tags = (await tagsOf(layer.host, REPOSITORY)).filter((tag) => !tag.startsWith('sha256-'));
  assert.deepEqual(tags, ['1.2.0']);
  const served = await getManifest(layer.host, REPOSITORY, '1.2.0');
  assert.equal(served?.digest, index.digest);
  assert.ok(served.bytes.equals(index.bytes));
  for (const digest of [children.arm64.digest, attestation.digest]) {
    assert.equal(await statusOf(layer.host, digest), 200);
  }
  for (const { digest } of [children.amd64, children.s390x]) {
    assert.equal(await statusOf(layer.host, digest), 404);
  }
  assert.deepEqual(await referrersOf(layer.host, REPOSITORY, index.digest), [signature.digest]);
  const allBytes = ARCHITECTURES.reduce((sum, name) => sum + children[name].bytes, 0);
  const wireBytes = proxy.bytesOf(/./);
  t.diagnostic(
    `${wireBytes} bytes on the wire for one platform of one tag; the blobs of three have ${allBytes}`,
  );
  assert.ok(wireBytes < 1.2 * children.arm64.bytes + 20_000, `${wireBytes} bytes on the wire`);
});

test('podman pulls the selected platform, and skopeo inspects it', async () => {
  const reference = `${layer.host}/${REPOSITORY}:1.2.0`;
  const id = await clients.podman('pull', '-q', insecure, '--arch', 'arm64', reference);
  const [image] = JSON.parse(await clients.podman('image', 'inspect', id));
  assert.equal(image.Architecture, 'arm64');
  const parameters = ['inspect', insecure, '--override-arch', 'arm64', `docker://${reference}`];
  const inspected = JSON.parse(await clients.skopeo(...parameters));
  assert.equal(inspected.Architecture, 'arm64');
  assert.equal(inspected.Digest, images['1.2.0']!.index.digest);
});

test('a platform that was left out is 404 for podman, and the log of the gateway gives the reason', async () => {
  const reference = `${layer.host}/${REPOSITORY}:1.2.0`;
  const pulling = clients.podman('pull', '-q', insecure, '--arch', 's390x', reference);
  await assert.rejects(pulling, /manifest unknown/i);
  const { digest } = images['1.2.0']!.children.s390x;
  const logged = layer.lines.filter((line) => line.includes(digest) && line.includes('linux/s390x'));
  assert.notDeepEqual(logged, [], 'no line of the log names the digest and its platform');
  const answer = await fetch(`http://${layer.host}/v2/${REPOSITORY}/manifests/${digest}`);
  assert.equal(answer.status, 404);
  assert.match(await answer.text(), /MANIFEST_UNKNOWN.*linux\/s390x/s);
});

test('a layer below takes the sparse index unchanged, without a failure', async () => {
  for (let round = 0; round < 2; round += 1) {
    const { failures, ok } = await below.sync();
    assert.deepEqual(failures, []);
    assert.ok(ok);
  }
  const { index, children } = images['1.2.0']!;
  assert.equal((await getManifest(below.host, REPOSITORY, '1.2.0'))?.digest, index.digest);
  assert.equal(await statusOf(below.host, children.arm64.digest), 200);
  assert.equal(await statusOf(below.host, children.s390x.digest), 404);
  const parameters = [insecure, '--override-arch', 'arm64', `docker://${below.host}/${REPOSITORY}:1.2.0`];
  assert.equal(JSON.parse(await clients.skopeo('inspect', ...parameters)).Architecture, 'arm64');
});

test('a platform that is added to the configuration is taken, and nothing else, then also by the layer below', async () => {
  const { children, index } = images['1.2.0']!;
  proxy.clearRequests();
  await configure(['linux/arm64', 'linux/s390x']);
  await proxy.until(({ requests }) => requests.some(({ path }) => path.endsWith(children.s390x.digest)));
  const { failures } = await layer.sync();
  assert.deepEqual(failures, []);
  assert.equal(proxy.bytesOf(/\/blobs\//), children.s390x.bytes);
  assert.equal((await getManifest(layer.host, REPOSITORY, '1.2.0'))?.digest, index.digest);
  for (const name of ARCHITECTURES) {
    assert.equal(await statusOf(layer.host, children[name].digest), name === 'amd64' ? 404 : 200, name);
  }
  const reference = `${layer.host}/${REPOSITORY}:1.2.0`;
  await clients.podman('pull', '-q', insecure, '--arch', 's390x', reference);

  const result = await below.sync({ full: true });
  assert.deepEqual(result.failures, []);
  assert.equal(await statusOf(below.host, children.s390x.digest), 200);
});
