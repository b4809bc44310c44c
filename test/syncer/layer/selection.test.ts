import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { configurationChanged } from '#proto/document/configuration.ts';
import { imageStarted } from '#proto/sync/passes.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import {
  deleteManifest,
  getManifest,
  pushArtifact,
  pushImage,
  pushIndex,
  referrersOf,
  tagImage,
  tagsOf,
} from '../../support/registry/image.ts';
import { request } from '../../support/registry/registry.ts';
import { until } from '../../support/until.ts';

/** The content that a ReadOnly layer pulls by its selections. Each test has its own repositories and configuration. */
let folder: string;
let config: string;
let cloud: Cloud;
let proxy: FaultProxy;
let layer: TestLayer;

const document = (repositories: unknown[], parent = proxy.url) =>
  JSON.stringify({ parent: { url: parent }, mode: 'ReadOnly', connections: 1, repositories });

/** Writes the configuration. Its own pass begins by itself; the requested pass follows it. */
async function select(...repositories: unknown[]): Promise<void> {
  layer.events.length = 0;
  await writeFile(config, document(repositories));
  await layer.event(configurationChanged);
  await pass();
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-selection-'));
  config = join(folder, 'layer.yaml');
  cloud = await startCloud();
  proxy = await startProxy(cloud.url);
  await writeFile(config, document(['none']));
  layer = await testLayer({ configFile: config, compact: 'hosted' });
});

beforeEach(() => proxy.clearRequests());

after(async () => {
  await layer?.stop();
  await proxy?.[Symbol.asyncDispose]();
  await cloud?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const push = (host: string, repository: string, tag: string | undefined, options = {}) =>
  pushImage(host, repository, tag, { layers: [{ seed: `${repository}:${tag}`, size: 2_000 }], ...options });

async function pass(options: { full?: boolean } = {}) {
  const result = await layer.sync(options);
  assert.deepEqual(result.failures, []);
  return result;
}

const status = async (host: string, repository: string, reference: string): Promise<number> =>
  (await request(host, `/v2/${repository}/manifests/${reference}`, { method: 'HEAD' })).status;

test('only the tags that the filter selects are requested, and a changed filter adds and deletes tags', async () => {
  for (const tag of ['1.0.0', '1.1.0', '2.0.0', 'latest']) await push(cloud.url, 'filtered', tag);
  await select({ name: 'filtered', tags: { semver: '1.x' } });
  assert.deepEqual((await tagsOf(layer.url, 'filtered')).sort(), ['1.0.0', '1.1.0']);
  assert.deepEqual(
    proxy.requests.filter(({ path }) => /manifests\/(2\.0\.0|latest)$/.test(path)),
    [],
  );
  await select({ name: 'filtered', tags: { semver: '>=1', latest: 2 } });
  assert.deepEqual((await tagsOf(layer.url, 'filtered')).sort(), ['1.1.0', '2.0.0']);
  await push(cloud.url, 'filtered', '3.0.0');
  await pass();
  assert.deepEqual((await tagsOf(layer.url, 'filtered')).sort(), ['2.0.0', '3.0.0']);
});

test('tags that refer to a manifest by its digest are selected together with it', async () => {
  const selected = await push(cloud.url, 'about', 'v1');
  const other = await push(cloud.url, 'about', 'x1');
  const tagOf = ({ digest }: { digest: string }) => `${digest.replace(':', '-')}.sig`;
  const signature = await push(cloud.url, 'about', tagOf(selected));
  await push(cloud.url, 'about', tagOf(other));
  await tagImage(cloud.url, 'about', signature, tagOf(signature));
  await select({ name: 'about', tags: { match: ['v*'] } });
  assert.deepEqual(
    (await tagsOf(layer.url, 'about')).sort(),
    [tagOf(selected), tagOf(signature), 'v1'].sort(),
  );
  await select({ name: 'about', tags: { match: ['v*'] }, referrers: false });
  assert.deepEqual(await tagsOf(layer.url, 'about'), ['v1']);
});

test('a referrers tag is pulled with the selected types, and without deleted referrers', async () => {
  const image = await push(cloud.url, 'listed', 'v1');
  const of = (kind: string) =>
    pushArtifact(cloud.url, 'listed', { subject: image, artifactType: `application/vnd.example.${kind}` });
  const [signature, deleted, sbom] = [await of('signature'), await of('signature-2'), await of('sbom')];
  await deleteManifest(cloud.url, 'listed', deleted.digest);
  const types = ['application/vnd.example.signature', 'application/vnd.example.signature-2'];
  await select({ name: 'listed', referrers: types });
  assert.equal((await tagsOf(layer.url, 'listed')).length, 2);
  assert.equal(await status(layer.url, 'listed', signature.digest), 200);
  for (const { digest } of [deleted, sbom]) assert.equal(await status(layer.url, 'listed', digest), 404);
  await pass({ full: true });
});

test('an index is pulled with the selected platforms only, and the others follow once selected', async () => {
  const at = (architecture: string) =>
    push(cloud.url, 'multi', undefined, {
      layers: [{ seed: architecture, size: 2_000 }],
      platform: { os: 'linux', architecture },
    });
  const [amd64, arm64] = [await at('amd64'), await at('arm64')];
  const index = await pushIndex(cloud.url, 'multi', 'v1', [amd64, arm64]);
  await select({ name: 'multi', platforms: ['linux/arm64'] });
  assert.equal((await getManifest(layer.url, 'multi', 'v1'))?.digest, index.digest);
  assert.equal(await status(layer.url, 'multi', arm64.digest), 200);
  assert.equal(await status(layer.url, 'multi', amd64.digest), 404);
  const pattern = new RegExp(amd64.digest);
  assert.deepEqual(
    proxy.requests.filter(({ path }) => pattern.test(path)),
    [],
  );
  await pass();
  assert.equal(await status(layer.url, 'multi', amd64.digest), 404);
  await select({ name: 'multi' });
  assert.equal(await status(layer.url, 'multi', amd64.digest), 200);
});

test('higher priorities are pulled first, and small blobs of an image before large ones', async () => {
  const sizes = [300_000, 2_000, 40_000];
  const layers = (name: string) => sizes.map((size) => ({ seed: name, size }));
  const names = ['order/a', 'order/b', 'order/c'];
  for (const name of names) await push(cloud.url, name, 'v1', { layers: layers(name) });
  await select({ name: 'order/a' }, { name: 'order/c', priority: 10 }, { name: 'order/b', priority: -1 });
  const blobs = proxy.requests.filter(({ path }) => path.includes('/blobs/'));
  const order = [...new Set(blobs.map(({ path }) => path))];
  assert.deepEqual(
    order.map((path) => path.slice(4, 11)),
    ['order/c', 'order/a', 'order/b'].flatMap((name) => Array(4).fill(name)),
  );
  const large = order.filter((_, at) => at % 4 === 3);
  for (const path of large) assert.ok(proxy.bytesOf(new RegExp(`^${path}$`)) >= 300_000, path);
});

test('an image that an earlier pass left in part is pulled before others of its priority', async () => {
  const large = { seed: 'begun', size: 300_000 };
  const { layers } = await push(cloud.url, 'begun/z', 'v1', { layers: [large] });
  const blob = new RegExp(`/blobs/${layers[0]?.digest}$`);
  proxy.fault(({ path }) => (blob.test(path) ? { stallAfter: 100_000 } : undefined));
  await writeFile(config, document([{ name: 'begun/z' }]));
  await until(() => proxy.bytesOf(blob) >= 100_000);
  proxy.fault();
  await push(cloud.url, 'begun/a', 'v1');
  // The new configuration ends the pass.
  await select({ name: 'begun/*' });
  const started = layer.events.filter(({ type }) => type === `terrace.${imageStarted.type}`);
  assert.deepEqual(
    started.map(({ data }) => (data as { repository: string }).repository),
    ['begun/z', 'begun/a'],
  );
  assert.ok(proxy.bytesOf(blob) < 400_000);
});

test('the manifest of an image with two tags is requested once', async () => {
  const image = await push(cloud.url, 'twice', 'a');
  await tagImage(cloud.url, 'twice', image, 'b');
  await select('twice');
  const requests = proxy.requests.filter(
    ({ method, path }) => method === 'GET' && path.startsWith('/v2/twice/manifests/'),
  );
  assert.equal(requests.length, 1);
  assert.deepEqual((await tagsOf(layer.url, 'twice')).sort(), ['a', 'b']);
});

test('a repository that is no longer selected is deleted', async () => {
  await push(cloud.url, 'deselected', 'v1');
  await push(cloud.url, 'selected', 'v1');
  await select('deselected', 'selected');
  assert.deepEqual(await tagsOf(layer.url, 'deselected'), ['v1']);
  await select('selected');
  assert.equal(await status(layer.url, 'deselected', 'v1'), 404);
  assert.deepEqual(await tagsOf(layer.url, 'selected'), ['v1']);
});

test('only referrers of the selected types are pulled, and one deleted at the parent is deleted here', async () => {
  await using parent = await testLayer({ mode: 'ReadWrite', compact: 'hosted' });
  const image = await push(parent.url, 'signed', 'v1');
  const [signature, sbom] = [
    await pushArtifact(parent.url, 'signed', {
      subject: image,
      artifactType: 'application/vnd.example.signature',
    }),
    await pushArtifact(parent.url, 'signed', {
      subject: image,
      artifactType: 'application/vnd.example.sbom',
    }),
  ];
  const digests = () => referrersOf(child.url, 'signed', image.digest);
  const types = ['application/vnd.example.signature'];
  await using child = await testLayer({
    compact: 'hosted',
    parent: parent.url,
    mode: 'ReadWrite',
    repositories: [{ name: 'signed', referrers: types }],
  });
  assert.deepEqual((await child.sync()).failures, []);
  assert.deepEqual(await digests(), [signature.digest]);
  assert.equal(await status(child.url, 'signed', sbom.digest), 404);

  const own = await pushArtifact(child.url, 'signed', {
    subject: image,
    artifactType: 'application/vnd.example.note',
  });
  await deleteManifest(parent.url, 'signed', signature.digest);
  const { failures } = await child.sync();
  assert.deepEqual(failures, []);
  assert.deepEqual(await digests(), [own.digest]);
  assert.equal(await status(parent.url, 'signed', own.digest), 200);
  assert.equal(await status(parent.url, 'signed', signature.digest), 404);
});

test('a platform that the parent left out is requested again only by a full pass', async () => {
  const at = (architecture: string) =>
    push(cloud.url, 'sparse', undefined, {
      layers: [{ seed: architecture, size: 2_000 }],
      platform: { os: 'linux', architecture },
    });
  const [amd64, arm64] = [await at('amd64'), await at('arm64')];
  const index = await pushIndex(cloud.url, 'sparse', 'v1', [amd64, arm64]);
  await select({ name: 'sparse', platforms: ['linux/arm64'] });
  await using between = await startProxy(layer.url);
  await using child = await testLayer({
    parent: between.url,
    mode: 'ReadOnly',
    repositories: ['sparse'],
    compact: 'hosted',
  });
  const sync = async (options = {}) => assert.deepEqual((await child.sync(options)).failures, []);
  await sync();
  assert.equal((await getManifest(child.url, 'sparse', 'v1'))?.digest, index.digest);
  assert.equal(await status(child.url, 'sparse', arm64.digest), 200);
  const requestCount = () =>
    between.requests.filter(({ path }) => path.endsWith(`/manifests/${amd64.digest}`)).length;
  assert.equal(requestCount(), 1);
  await sync();
  assert.equal(requestCount(), 1);
  await select({ name: 'sparse' });
  await sync({ full: true });
  assert.equal(await status(child.url, 'sparse', amd64.digest), 200);
});
