import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Repositories } from '#proto/api/repositories.ts';
import { layerStatus } from '#proto/overview/layer-status.ts';
import { repositoryState, syncFigure } from '#proto/overview/sync-state.ts';
import { syncRepositories, syncTags } from '#proto/sync/behind.ts';
import { startPass } from '#proto/sync/passes.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { pushArtifact, pushImage } from '../../support/registry/image.ts';
import { deleteManifest } from '../../support/registry/registry.ts';
import { until } from '../../support/until.ts';

/** The figure of synchronization of a running layer, held against what the parent really has. */

const figureOf = async (layer: TestLayer): Promise<SyncFigure | undefined> =>
  syncFigure(await layerStatus(layer.bus()), Date.now());

/** Resolves once the figure is as expected. */
async function becomes(
  layer: TestLayer,
  what: string,
  fits: (figure: SyncFigure) => boolean,
): Promise<SyncFigure> {
  let last: SyncFigure | undefined;
  await until(async () => {
    last = await figureOf(layer).catch(() => undefined);
    return last !== undefined && fits(last);
  }, what);
  return last as SyncFigure;
}

const SIZE = 300_000;

test('the layer says what it lacks while it arrives, also after kills, and when nothing is missing', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  await pushImage(cloud.url, 'line/app', 'v1', { layers: [{ seed: 'first', size: 1_000 }] });
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'] });
  assert.equal((await layer.sync()).ok, true);
  const before = await becomes(layer, 'the layer is in sync', ({ state }) => state === 'in-sync');
  assert.deepEqual(before.behind, { tags: 0, bytes: 0, unsized: 0, failed: 0 });

  const release = Promise.withResolvers<void>();
  proxy.fault(({ method, path }) =>
    method === 'GET' && /\/blobs\//.test(path) ? { hold: release.promise } : undefined,
  );
  for (const tag of ['v1', 'v2'])
    await pushImage(cloud.url, 'line/app', tag, { layers: [{ seed: tag, size: SIZE }] });
  await pushImage(cloud.url, 'line/tool', 'latest', { layers: [{ seed: 'tool', size: SIZE }] });
  await layer.bus().call(startPass, { full: true });
  const isBehind = ({ state, behind }: SyncFigure) =>
    state === 'behind' && behind.tags === 3 && behind.unsized === 0 && behind.bytes >= 3 * SIZE;
  const { behind } = await becomes(layer, 'three tags are missing, of known size', isBehind);
  assert.ok(behind.since !== undefined && behind.bytes < 3 * SIZE + 20_000);

  layer.killWithoutWaiting('syncer-1');
  await layer.kill('storage');
  const again = await becomes(layer, 'the figure is there after the kills', isBehind);
  assert.equal(again.behind.since, behind.since);
  const { repositories } = await layer.bus().call(syncRepositories, { limit: 10, only: 'behind' });
  assert.deepEqual(
    repositories.map(({ repository, behind: { tags } }) => [repository, tags]),
    [
      ['line/app', 2],
      ['line/tool', 1],
    ],
  );

  release.resolve();
  const after = await becomes(layer, 'the layer is in sync again', ({ state }) => state === 'in-sync');
  assert.deepEqual(after.behind, before.behind);
});

test('what an image that is here lacks is missing, also after kills, until it is here', async () => {
  await using top = await testLayer({ compact: 'hosted' });
  await using proxy = await startProxy(top.url);
  const subject = await pushImage(top.url, 'line/app', 'v1', { layers: [{ seed: 'v1', size: 1_000 }] });
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'] });
  await layer.sync();
  await becomes(layer, 'the layer is in sync', ({ state }) => state === 'in-sync');

  const release = Promise.withResolvers<void>();
  proxy.fault(({ method, path }) =>
    method === 'GET' && /\/blobs\//.test(path) ? { hold: release.promise } : undefined,
  );
  await pushArtifact(top.url, 'line/app', { subject, layers: [{ seed: 'sbom', size: SIZE }] });
  await layer.bus().call(startPass, { full: true });
  const isBehind = ({ state, behind }: SyncFigure) =>
    state === 'behind' && behind.tags === 1 && behind.bytes >= SIZE;
  await becomes(layer, 'the referrer is missing', isBehind);
  layer.killWithoutWaiting('syncer-1');
  await layer.kill('storage');
  await becomes(layer, 'it is missing after the kills', isBehind);
  const { tags } = await layer.bus().call(syncTags, { repository: 'line/app', limit: 10, differing: true });
  assert.deepEqual(
    tags.map(({ tag, behind }) => [tag, behind?.target]),
    [['v1', subject.digest]],
  );
  release.resolve();
  const { behind } = await becomes(layer, 'the layer is in sync again', ({ state }) => state === 'in-sync');
  assert.equal(behind.tags, 0);
});

test('a tag that fails stays behind, with its reason, until the parent has it no more', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  const [bad] = await Promise.all(
    ['bad', 'good'].map((tag) => pushImage(cloud.url, 'app', tag, { layers: [{ seed: tag, size: 1_000 }] })),
  );
  const digest = bad?.digest as string;
  const blob = bad?.layers[0]?.digest as string;
  proxy.fault(({ path }) => (path.endsWith(`/blobs/${blob}`) ? { answer: { status: 403 } } : undefined));
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], compact: 'hosted' });
  await becomes(layer, 'the failure is known', ({ behind }) => behind.tags === 1 && behind.failed === 1);
  const { tags } = await layer.bus().call(syncTags, { repository: 'app', limit: 10, differing: true });
  assert.deepEqual(
    tags.map(({ tag, behind }) => [tag, behind?.target, behind?.code]),
    [['bad', digest, 'parent-refused']],
  );
  await deleteManifest(cloud.url, 'app', digest);
  await layer.sync({ full: true });
  await becomes(layer, 'nothing is missing', ({ state, behind }) => state === 'in-sync' && behind.tags === 0);
});

test('a repository that the parent refuses is not in sync, also while another one is behind', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  const push = (repository: string, tag: string) =>
    pushImage(cloud.url, repository, tag, { layers: [{ seed: tag, size: 1_000 }] });
  await push('app', 'v1');
  await push('secret', 'v1');
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], compact: 'hosted' });
  await becomes(layer, 'the layer is in sync', ({ state }) => state === 'in-sync');

  await push('app', 'v2');
  proxy.fault(({ path }) =>
    /^\/v2\/(secret\/|app\/blobs\/)/.test(path) ? { answer: { status: 403 } } : undefined,
  );
  await layer.sync({ full: true });
  await becomes(
    layer,
    'a tag is missing, and a repository was not compared',
    ({ state, behind, uncompared }) => state === 'behind' && behind.tags === 1 && uncompared === 1,
  );
  const { repositories } = await layer.bus().call(syncRepositories, { limit: 10 });
  assert.deepEqual(
    repositories.map((one) => [one.repository, repositoryState(one), one.uncompared?.code]),
    [
      ['app', 'behind', undefined],
      ['secret', 'unknown', 'parent-refused'],
    ],
  );
  proxy.fault();
  await layer.sync({ full: true });
  await becomes(
    layer,
    'everything is compared',
    ({ state, uncompared }) => state === 'in-sync' && !uncompared,
  );
});

test('a repository that was refused once is in sync after the next pass that follows its parent', async () => {
  await using top = await testLayer({ compact: 'hosted' });
  await using proxy = await startProxy(top.url);
  for (const repository of ['app', 'secret'])
    await pushImage(top.url, repository, 'v1', { layers: [{ seed: repository, size: 1_000 }] });
  const parent = { parent: proxy.url, repositories: ['*'] };
  await using layer = await testLayer({ ...parent, compact: 'hosted' });
  await becomes(layer, 'the layer is in sync', ({ state }) => state === 'in-sync');
  proxy.fault(({ path }) => (path.startsWith('/v2/secret/') ? { answer: { status: 403 } } : undefined));
  await layer.sync({ full: true });
  await becomes(
    layer,
    'it was not compared',
    ({ uncompared, state }) => uncompared === 1 && state === 'unknown',
  );
  const { items } = (await (await fetch(`${layer.url}/api/v1/repositories`)).json()) as Repositories;
  assert.deepEqual(
    items.map(({ repository, sync }) => [repository, sync?.state]),
    [
      ['app', 'in-sync'],
      ['secret', 'unknown'],
    ],
  );
  proxy.fault();
  assert.equal((await layer.sync()).ok, true);
  await becomes(layer, 'the layer is in sync again', ({ state }) => state === 'in-sync');
});

test('what is known to be missing stays so while the parent refuses its catalog', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  for (const repository of ['app', 'new'])
    await pushImage(cloud.url, repository, 'v1', { layers: [{ seed: repository, size: 1_000 }] });
  proxy.fault(({ path }) => (path.startsWith('/v2/new/blobs/') ? { answer: { status: 403 } } : undefined));
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], compact: 'hosted' });
  await becomes(layer, 'a repository is missing', ({ behind }) => behind.tags === 1 && behind.failed === 1);
  proxy.fault(({ path }) =>
    /^\/v2\/(_catalog|new\/blobs\/)/.test(path) ? { answer: { status: 403 } } : undefined,
  );
  assert.equal((await layer.sync({ full: true })).ok, false);
  const figure = await figureOf(layer);
  assert.deepEqual([figure?.state, figure?.behind.tags], ['behind', 1]);
  proxy.fault();
  await layer.sync({ full: true });
  await becomes(layer, 'nothing is missing', ({ state }) => state === 'in-sync');
});

test('what is pushed here while the link is cut is ahead, by repository and tag, until the parent has it', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  await pushImage(cloud.url, 'app', 'v1', { layers: [{ seed: 'v1', size: 1_000 }] });
  await using layer = await testLayer({ parent: proxy.url, repositories: ['app'], compact: 'hosted' });
  await becomes(layer, 'the layer is in sync', ({ state }) => state === 'in-sync');
  await proxy.down();
  const { digest } = await pushImage(layer.url, 'app', 'v2', { layers: [{ seed: 'v2', size: 1_000 }] });
  await pushImage(layer.url, 'own', 'v1', { layers: [{ seed: 'own', size: 1_000 }] });
  const { ahead } = await becomes(
    layer,
    'a tag is ahead',
    ({ state, ahead }) => state === 'ahead' && ahead.tags > 0,
  );
  assert.deepEqual(ahead, { tags: 1, manifests: 1, deletions: 0, parked: 0 });
  const { tags } = await layer.bus().call(syncTags, { repository: 'app', limit: 10, differing: true });
  assert.deepEqual(
    tags.map(({ origin: _, ...tag }) => tag),
    [{ tag: 'v2', digest }],
  );
  await proxy.up();
  await layer.sync();
  await becomes(layer, 'the layer is in sync again', ({ state }) => state === 'in-sync');
});

test('the layer above has the figure of each layer below, at any depth', async () => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  await using top = await testLayer({
    parent: proxy.url,
    repositories: ['*'],
    compact: 'hosted',
    schedule: '* * * * *',
  });
  await using middle = await testLayer({
    parent: top.url,
    repositories: ['*'],
    compact: 'hosted',
    schedule: '* * * * *',
  });
  await using bottom = await testLayer({
    parent: middle.url,
    repositories: ['*'],
    compact: 'hosted',
    schedule: '* * * * *',
  });
  await pushImage(bottom.url, 'app', 'v1', { layers: [{ seed: 'v1', size: 1_000 }] });
  const statesBelow = async () => {
    const { below = [], sync } = await layerStatus(top.bus());
    return [sync?.state, ...below.map((one) => one.sync?.state)];
  };
  await until(async () => String(await statesBelow()) === 'in-sync,in-sync,in-sync', 'all are in sync');
  await proxy.down();
  await pushImage(bottom.url, 'app', 'v2', { layers: [{ seed: 'v2', size: 1_000 }] });
  await until(
    async () => String(await statesBelow()) === 'ahead,in-sync,in-sync',
    'the top has it for the cloud',
  );
  await proxy.up();
  await top.sync();
  await until(async () => String(await statesBelow()) === 'in-sync,in-sync,in-sync', 'the cloud has it');
});
