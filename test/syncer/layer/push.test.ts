import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { listParked } from '#proto/sync/outgoing.ts';
import { imageConflict, imageParked } from '#proto/sync/passes.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../support/proxy/fault-proxy.ts';
import { isTransient, linesOf } from '../../support/proxy/requests.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import {
  deleteManifest,
  fallbackTag,
  firstDifference,
  getManifest,
  pushArtifact,
  pushImage,
  pushIndex,
  tagImage,
  tagsOf,
} from '../../support/registry/image.ts';
import { request } from '../../support/registry/registry.ts';

/** Pushes of a ReadWrite layer to a registry that is no Terrace. Each test has a repository of its own. */
let cloud: Cloud;
let proxy: FaultProxy;
let layer: TestLayer;

before(async () => {
  cloud = await startCloud();
  proxy = await startProxy(cloud.url);
  layer = await testLayer({
    parent: proxy.url,
    mode: 'ReadWrite',
    name: 'line-3',
    compact: 'hosted',
    repositories: ['*', { name: 'wins/*', conflict: 'layer-wins' }],
  });
  // Otherwise, the first pass might push the content of the first test, which counts the changes of its own pass.
  await layer.sync();
});

beforeEach(() => {
  proxy.fault();
  proxy.clearRequests();
});

after(async () => {
  await layer?.stop();
  await proxy?.[Symbol.asyncDispose]();
  await cloud?.[Symbol.asyncDispose]();
});

const push = (host: string, repository: string, tag: string | undefined, seed: string) =>
  pushImage(host, repository, tag, { layers: [{ seed, size: 2_000 }] });

async function pass(options: { full?: boolean } = {}) {
  const result = await layer.sync(options);
  assert.deepEqual(result.failures, []);
  return result;
}

const digestAt = async (host: string, repository: string, reference: string): Promise<string | undefined> =>
  (await getManifest(host, repository, reference))?.digest;

const untag = async (repository: string, tag: string) =>
  assert.equal(
    (await request(layer.url, `/v2/${repository}/manifests/${tag}`, { method: 'DELETE' })).status,
    202,
  );

test('an index and its images are pushed, and content in agreement causes no changing request', async () => {
  const children = [
    await push(layer.url, 'app', undefined, 'one'),
    await push(layer.url, 'app', undefined, 'two'),
  ];
  const index = await pushIndex(layer.url, 'app', 'v1', children);
  const { sent } = await pass();
  assert.ok(sent >= 1);
  assert.equal(await digestAt(cloud.url, 'app', 'v1'), index.digest);
  assert.equal(await firstDifference(layer.url, cloud.url, ['app']), undefined);
  proxy.clearRequests();
  const again = await pass();
  assert.equal(again.sent + again.taken, 0);
  assert.deepEqual(
    proxy.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD').map(({ path }) => path),
    [],
  );
});

test('after an outage, all manifests of a tag are pushed, and the tag moves once, to the last', async () => {
  await push(layer.url, 'moves', 'v1', 'first');
  await pass();
  await proxy.down();
  const middle = await push(layer.url, 'moves', 'v1', 'second');
  const last = await push(layer.url, 'moves', 'v1', 'third');
  assert.equal((await layer.sync()).ok, false);
  await proxy.up();
  proxy.clearRequests();
  await pass();
  assert.equal(await digestAt(cloud.url, 'moves', 'v1'), last.digest);
  assert.equal(await digestAt(cloud.url, 'moves', middle.digest), middle.digest);
  const moves = proxy.requests
    .filter(({ method, path }) => method === 'PUT' && path.endsWith('/manifests/v1'))
    .filter((put) => !isTransient(put));
  assert.equal(moves.length, 1, linesOf(moves).join('\n'));
});

test('a deleted tag is deleted at the parent, where another tag and the manifest stay', async () => {
  const image = await push(layer.url, 'retag', 'a', 'retag');
  await tagImage(layer.url, 'retag', image, 'b');
  await push(layer.url, 'retag', 'c', 'other');
  await pass();
  assert.deepEqual((await tagsOf(cloud.url, 'retag')).sort(), ['a', 'b', 'c']);
  await untag('retag', 'a');
  await untag('retag', 'c');
  assert.equal((await pass()).withdrawn, 2);
  assert.deepEqual(await tagsOf(cloud.url, 'retag'), ['b']);
  assert.equal(await digestAt(cloud.url, 'retag', image.digest), image.digest);
  const again = await pass();
  assert.equal(again.withdrawn + again.taken, 0);
  assert.deepEqual(await tagsOf(layer.url, 'retag'), ['b']);
});

test('a manifest deleted here is deleted at the parent, and is not pulled again', async () => {
  const image = await push(layer.url, 'deleted', 'v1', 'deleted');
  await push(layer.url, 'deleted', 'v2', 'stays');
  await pass();
  await deleteManifest(layer.url, 'deleted', image.digest);
  await pass();
  assert.equal(await digestAt(cloud.url, 'deleted', image.digest), undefined);
  assert.deepEqual(await tagsOf(cloud.url, 'deleted'), ['v2']);
  assert.equal((await pass({ full: true })).taken, 0);
  assert.equal(await digestAt(layer.url, 'deleted', image.digest), undefined);
});

test('a manifest deleted here stays at the parent if another tag points to it, and is pulled again', async () => {
  const image = await push(layer.url, 'kept', 'v1', 'kept');
  await pass();
  await tagImage(cloud.url, 'kept', image, 'v2');
  await deleteManifest(layer.url, 'kept', image.digest);
  await pass();
  assert.deepEqual(await tagsOf(cloud.url, 'kept'), ['v2']);
  await pass();
  assert.deepEqual(await tagsOf(layer.url, 'kept'), ['v2']);
});

test('a referrer is pushed without a tag, and a parent without the referrers API gets a list of them', async () => {
  const image = await push(layer.url, 'signed', 'v1', 'signed');
  const note = await pushArtifact(layer.url, 'signed', { subject: image });
  await pass();
  assert.equal(await digestAt(cloud.url, 'signed', note.digest), note.digest);
  const list = await getManifest(cloud.url, 'signed', fallbackTag(image.digest));
  const listed = JSON.parse(list!.bytes.toString()).manifests.map(({ digest }: { digest: string }) => digest);
  assert.deepEqual(listed, [note.digest]);
});

for (const [repository, winner] of [
  ['loses', 'parent'],
  ['wins/app', 'layer'],
] as const) {
  test(`if both changed a tag and the ${winner} wins, the other content has a conflict tag on both sides`, async () => {
    await push(layer.url, repository, 'v1', 'base');
    await pass();
    const fromParent = await push(cloud.url, repository, 'v1', `above ${winner}`);
    const own = await push(layer.url, repository, 'v1', `own ${winner}`);
    const [won, lost] = winner === 'parent' ? [fromParent, own] : [own, fromParent];
    for (let round = 0; round < 2; round += 1) await pass();
    const loserTag = `v1.conflict-line-3-${lost.digest.slice(7, 19)}`;
    for (const host of [cloud.url, layer.url]) {
      assert.deepEqual((await tagsOf(host, repository)).sort(), ['v1', loserTag]);
      assert.equal(await digestAt(host, repository, 'v1'), won.digest);
      assert.equal(await digestAt(host, repository, loserTag), lost.digest);
    }
    const conflict = await layer.event(imageConflict, (data) => data.repository === repository);
    assert.deepEqual(
      [conflict.winner, conflict.loser, conflict.loserTag],
      [won.digest, lost.digest, loserTag],
    );
    const { taken, sent } = await pass();
    assert.equal(taken + sent, 0);
  });
}

test('a tag that the parent refuses is parked with its reason, and a full pass retries it', async () => {
  const refused = /^\/v2\/refused\/manifests\/v1$/;
  proxy.fault(({ method, path }) =>
    method === 'PUT' && refused.test(path)
      ? { answer: { status: 403, body: '{"errors":[{"code":"DENIED","message":"the tag is immutable"}]}' } }
      : undefined,
  );
  const image = await push(layer.url, 'refused', 'v1', 'refused');
  const other = await push(layer.url, 'refused', 'v2', 'other');
  const first = await layer.sync();
  assert.deepEqual([first.ok, first.parked, first.failed], [false, 1, 0]);
  assert.match(first.failures[0]!.reason, /the tag is immutable/);
  await layer.event(imageParked, ({ tag }) => tag === 'v1');
  assert.equal(await digestAt(cloud.url, 'refused', 'v2'), other.digest);
  assert.equal(await digestAt(cloud.url, 'refused', image.digest), image.digest);

  proxy.clearRequests();
  assert.equal((await layer.sync()).parked, 1);
  assert.equal(proxy.requests.filter(({ method }) => method === 'PUT').length, 0);
  const { parked } = await layer.bus().call(listParked, { limit: 10 });
  assert.deepEqual(
    parked.map(({ reference, digest, attempts }) => [reference, digest, attempts]),
    [['v1', image.digest, 1]],
  );

  proxy.fault();
  await pass({ full: true });
  assert.equal(await digestAt(cloud.url, 'refused', 'v1'), image.digest);
  assert.deepEqual((await layer.bus().call(listParked, { limit: 10 })).parked, []);
});

test('a parked change that is reverted here is no longer parked', async () => {
  proxy.fault(({ method, path }) =>
    method === 'PUT' && path === '/v2/reverted/manifests/v1' ? { answer: { status: 403 } } : undefined,
  );
  await push(layer.url, 'reverted', 'v1', 'reverted');
  assert.equal((await layer.sync()).parked, 1);
  await untag('reverted', 'v1');
  await pass();
  assert.deepEqual((await layer.bus().call(listParked, { limit: 10 })).parked, []);
});
