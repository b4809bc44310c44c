import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { tagMoved } from '#proto/content/content-events.ts';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import {
  deleteManifest,
  firstDifference,
  pushImage,
  repositoriesOf,
  tagImage,
  tagsOf,
} from '../../support/registry/image.ts';

/** Passes of a ReadWrite layer with a configuration file. Each test has repositories of its own. */
const account = { username: 'layer', password: 'first' };
let folder: string;
let config: string;
let cloud: Cloud;
let layer: TestLayer;

const document = (repositories: string[]) =>
  JSON.stringify({
    parent: { url: cloud.url, username: account.username, passwordFile: join(folder, 'password') },
    mode: 'ReadWrite',
    repositories,
  });

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-passes-'));
  config = join(folder, 'layer.yaml');
  cloud = await startCloud({ account });
  await writeFile(join(folder, 'password'), `${account.password}\n`);
  await writeFile(config, document(['all/*', 'one']));
  layer = await testLayer({ configFile: config, name: 'line-3', compact: true });
});

after(async () => {
  await layer?.stop();
  await cloud?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const push = (host: string, repository: string, tag: string, seed: string) =>
  pushImage(host, repository, tag, { layers: [{ seed, size: 2_000 }] });

async function pass(): Promise<void> {
  const { failures } = await layer.sync();
  assert.deepEqual(failures, []);
}

test('only repositories that the patterns select are pulled', async () => {
  for (const repository of ['one', 'one/below', 'all', 'all/a', 'all/a/b', 'other']) {
    await push(cloud.login, repository, 'v1', repository);
  }
  await pass();
  const repositories = await repositoriesOf(layer.url);
  for (const present of ['one', 'all/a', 'all/a/b']) assert.ok(repositories.includes(present), present);
  for (const absent of ['one/below', 'all', 'other']) assert.ok(!repositories.includes(absent), absent);
});

test('a moved, a deleted and a new tag at the parent are carried out in the layer', async () => {
  const moving = await push(cloud.login, 'all/tags', 'moves', 'old');
  const deleted = await push(cloud.login, 'all/tags', 'deleted', 'deleted');
  await pass();
  assert.deepEqual((await tagsOf(layer.url, 'all/tags')).sort(), ['deleted', 'moves']);
  const moved = await push(cloud.login, 'all/tags', 'moves', 'new');
  await push(cloud.login, 'all/tags', 'added', 'added');
  await deleteManifest(cloud.login, 'all/tags', deleted.digest);
  await pass();
  assert.deepEqual((await tagsOf(layer.url, 'all/tags')).sort(), ['added', 'moves']);
  assert.equal(await firstDifference(cloud.login, layer.url, ['all/tags']), undefined);
  const event = await layer.event(tagMoved, ({ tag, digest }) => tag === 'moves' && digest === moved.digest);
  assert.equal(event.from, moving.digest);
});

test('if both sides changed a tag, the parent wins, and the content of the layer gets a conflict tag', async () => {
  await push(cloud.login, 'all/conflict', 'v1', 'base');
  await pass();
  const fromParent = await push(cloud.login, 'all/conflict', 'v1', 'above');
  const own = await push(layer.url, 'all/conflict', 'v1', 'own');
  await pass();
  const loser = `v1.conflict-line-3-${own.digest.slice(7, 19)}`;
  assert.deepEqual((await tagsOf(layer.url, 'all/conflict')).sort(), ['v1', loser]);
  const digestOf = async (tag: string) =>
    (await fetch(`${layer.url}/v2/all/conflict/manifests/${tag}`)).headers.get('docker-content-digest');
  assert.equal(await digestOf('v1'), fromParent.digest);
  assert.equal(await digestOf(loser), own.digest);
});

test('the own content of a ReadWrite layer stays, and is pushed', async () => {
  const own = await push(layer.url, 'all/own', 'mine', 'mine');
  await push(cloud.login, 'all/own', 'theirs', 'theirs');
  await pass();
  await pass();
  assert.deepEqual((await tagsOf(layer.url, 'all/own')).sort(), ['mine', 'theirs']);
  const served = await fetch(`${layer.url}/v2/all/own/manifests/mine`);
  assert.equal(served.headers.get('docker-content-digest'), own.digest);
  assert.deepEqual((await tagsOf(cloud.login, 'all/own')).sort(), ['mine', 'theirs']);
});

test('a repository that no longer exists at the parent stays in the layer', async () => {
  const { digest } = await push(layer.url, 'all/missing', 'v1', 'missing');
  await pass();
  await rm(join(cloud.folder, 'registry/docker/registry/v2/repositories/all/missing'), { recursive: true });
  await pass();
  assert.deepEqual(await tagsOf(layer.url, 'all/missing'), ['v1']);
  assert.equal((await fetch(`${layer.url}/v2/all/missing/manifests/${digest}`)).status, 200);
});

test('two tags of one manifest are both pulled', async () => {
  const image = await push(cloud.login, 'all/twice', 'a', 'twice');
  await tagImage(cloud.login, 'all/twice', image, 'b');
  await pass();
  assert.deepEqual((await tagsOf(layer.url, 'all/twice')).sort(), ['a', 'b']);
  assert.equal(await firstDifference(cloud.login, layer.url, ['all/twice']), undefined);
});

test('a repository added to the configuration file is pulled without a restart or a request', async () => {
  await push(cloud.login, 'later', 'v1', 'later');
  const pids = layer.pids();
  await writeFile(config, document(['all/*', 'one', 'later']));
  await layer.event(tagMoved, ({ repository }) => repository === 'later');
  assert.deepEqual(layer.pids(), pids);
});

test('a missing password file fails the pass with config-invalid', async () => {
  await rm(join(folder, 'password'));
  const { ok, failures } = await layer.sync({ maxRequests: 1 });
  assert.equal(ok, false);
  assert.deepEqual(
    failures.map(({ code }) => code),
    ['config-invalid'],
  );
  await writeFile(join(folder, 'password'), account.password);
});

test('a wrong password fails the pass with parent-refused, and a new one is used at the next pass', async () => {
  await writeFile(join(folder, 'password'), 'wrong');
  const { ok, failures } = await layer.sync();
  assert.equal(ok, false);
  assert.ok(failures.every(({ code }) => code === 'parent-refused'));
  assert.match(failures[0]!.reason, /401/);
  const link = await layer.bus().get(linkStatus, LINK_KEY);
  assert.equal(link?.value.state, 'Unhealthy');
  assert.match(link?.value.detail ?? '', /401/);
  await writeFile(join(folder, 'password'), account.password);
  await pass();
  assert.equal((await layer.bus().get(linkStatus, LINK_KEY))?.value.state, 'Online');
});
