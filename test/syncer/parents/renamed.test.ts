import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { getManifest, pushArtifact, pushImage, tagsOf } from '../../support/registry/image.ts';
import { scriptedRegistry } from '../../support/registry/scripted/scripted-registry.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';

/** Repositories that have another name here than at the parent. */

const YEARLY = '0 0 1 1 *';
const repositories = [
  { from: 'library/nginx', as: 'plant/nginx' },
  { from: 'line/*', as: 'cell/*' },
  'same/*',
];

let layer: SyncerRig;
before(async () => {
  layer = await SyncerRig.start('http://127.0.0.1:1', {});
});
after(() => layer[Symbol.asyncDispose]());

test('content goes both ways between repositories that have another name here', async () => {
  await using registry = await scriptedRegistry();
  const { content } = registry;
  const nginx = content.image('library/nginx', '1');
  const note = content.image('library/nginx', undefined, { subject: nginx, artifactType: 'application/x' });
  const line = content.image('line/a/b', '1');
  content.image('same/c', '1');
  // Their names are taken here by other repositories, or nothing selects them.
  content.image('plant/nginx', 'hidden');
  content.image('cell/a', 'hidden');
  content.image('library/other', '1');
  await layer.configureWith({ parent: { url: registry.url }, repositories, schedule: YEARLY });
  await until(() => registry.requests.length > 0, 'the parent is asked');
  assert.deepEqual((await layer.pass()).failures, []);

  const { url } = layer.layer;
  const listed = (await (await fetch(`${url}/v2/_catalog`)).json()) as { repositories: string[] };
  assert.deepEqual(listed.repositories, ['cell/a/b', 'plant/nginx', 'same/c']);
  assert.deepEqual(await tagsOf(url, 'plant/nginx'), ['1']);
  assert.ok(await getManifest(url, 'plant/nginx', note.digest));
  assert.equal((await getManifest(url, 'cell/a/b', '1'))?.digest, line.digest);

  const pushed = await pushImage(url, 'plant/nginx', '2', { layers: [{ seed: 'shared', size: 200_000 }] });
  await pushArtifact(url, 'plant/nginx', { subject: pushed });
  const also = await pushImage(url, 'cell/new', '1', { layers: [{ seed: 'shared', size: 200_000 }] });
  assert.deepEqual((await layer.pass()).failures, []);
  assert.equal(content.of('library/nginx').tags.get('2'), pushed.digest);
  assert.equal(content.referrers('library/nginx', pushed.digest).length, 1);
  assert.equal(content.of('line/new').tags.get('1'), also.digest);
  assert.deepEqual([...content.of('plant/nginx').tags.keys()], ['hidden']);
  const mounted = registry.requests.filter(({ url: { searchParams } }) => searchParams.has('from'));
  assert.ok(mounted.length > 0);
  for (const {
    url: { searchParams },
  } of mounted)
    assert.match(searchParams.get('from') ?? '', /^(?:library\/nginx|line\/new)$/);

  await fetch(`${url}/v2/plant/nginx/manifests/1`, { method: 'DELETE' });
  assert.deepEqual((await layer.pass()).failures, []);
  assert.ok(!content.of('library/nginx').tags.has('1'));
});

test('a failure names the repository here and the one at the parent', async () => {
  await using registry = await scriptedRegistry({
    quirk: ({ path }) => (path.includes('/library/nginx/manifests/') ? { status: 403 } : undefined),
  });
  registry.content.image('library/nginx', '1');
  await layer.configureWith({
    parent: { url: registry.url },
    repositories: repositories.slice(0, 1),
    schedule: YEARLY,
  });
  await until(() => registry.requests.length > 0, 'the parent is asked');
  const [failure] = (await layer.pass()).failures;
  assert.equal(failure?.repository, 'plant/nginx');
  assert.match(failure?.reason ?? '', /library\/nginx/);
});

test('after a change of a rename, a ReadWrite layer keeps what it has, and sends it', async () => {
  await using registry = await scriptedRegistry();
  const { content } = registry;
  const first = content.image('one', 'old');
  content.image('two', 'new');
  const configure = async (from: string) => {
    registry.requests.length = 0;
    await layer.configureWith({
      parent: { url: registry.url },
      repositories: [{ from, as: 'moved' }],
      schedule: YEARLY,
    });
    await until(() => registry.requests.length > 0, 'the parent is asked');
    assert.deepEqual((await layer.pass()).failures, []);
  };
  await configure('one');
  assert.deepEqual(await tagsOf(layer.layer.url, 'moved'), ['old']);
  await configure('two');
  assert.deepEqual(await tagsOf(layer.layer.url, 'moved'), ['new', 'old']);
  assert.equal(content.of('two').tags.get('old'), first.digest);
  assert.deepEqual([...content.of('one').tags.keys()], ['old']);
});
