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
  pushImage,
  repositoriesOf,
  sameContent,
  tagImage,
  tagsOf,
} from '../../support/registry/image.ts';

/** What a pass does, with a ReadWrite layer whose configuration is a file. Each test has repositories of its own. */
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

test('only what the patterns select comes', async () => {
  for (const repository of ['one', 'one/below', 'all', 'all/a', 'all/a/b', 'other']) {
    await push(cloud.login, repository, 'v1', repository);
  }
  await pass();
  const repositories = await repositoriesOf(layer.url);
  for (const there of ['one', 'all/a', 'all/a/b']) assert.ok(repositories.includes(there), there);
  for (const absent of ['one/below', 'all', 'other']) assert.ok(!repositories.includes(absent), absent);
});

test('a tag that moves, one that goes and one that comes arrive; what stays is not asked for again', async () => {
  const moving = await push(cloud.login, 'all/tags', 'moves', 'old');
  const going = await push(cloud.login, 'all/tags', 'goes', 'going');
  await pass();
  assert.deepEqual((await tagsOf(layer.url, 'all/tags')).sort(), ['goes', 'moves']);
  const moved = await push(cloud.login, 'all/tags', 'moves', 'new');
  await push(cloud.login, 'all/tags', 'comes', 'coming');
  await deleteManifest(cloud.login, 'all/tags', going.digest);
  await pass();
  assert.deepEqual((await tagsOf(layer.url, 'all/tags')).sort(), ['comes', 'moves']);
  assert.equal(await sameContent(cloud.login, layer.url, ['all/tags']), undefined);
  const event = await layer.event(tagMoved, ({ tag, digest }) => tag === 'moves' && digest === moved.digest);
  assert.equal(event.from, moving.digest);
});

test('a tag that both sides changed: the parent wins, and what the layer had stays under a tag of its own', async () => {
  await push(cloud.login, 'all/conflict', 'v1', 'base');
  await pass();
  const above = await push(cloud.login, 'all/conflict', 'v1', 'above');
  const own = await push(layer.url, 'all/conflict', 'v1', 'own');
  await pass();
  const loser = `v1.conflict-line-3-${own.digest.slice(7, 19)}`;
  assert.deepEqual((await tagsOf(layer.url, 'all/conflict')).sort(), ['v1', loser]);
  const digestOf = async (tag: string) =>
    (await fetch(`${layer.url}/v2/all/conflict/manifests/${tag}`)).headers.get('docker-content-digest');
  assert.equal(await digestOf('v1'), above.digest);
  assert.equal(await digestOf(loser), own.digest);
});

test('what a ReadWrite layer has of its own stays, and goes up', async () => {
  const own = await push(layer.url, 'all/own', 'mine', 'mine');
  await push(cloud.login, 'all/own', 'theirs', 'theirs');
  await pass();
  await pass();
  assert.deepEqual((await tagsOf(layer.url, 'all/own')).sort(), ['mine', 'theirs']);
  const served = await fetch(`${layer.url}/v2/all/own/manifests/mine`);
  assert.equal(served.headers.get('docker-content-digest'), own.digest);
  assert.deepEqual((await tagsOf(cloud.login, 'all/own')).sort(), ['mine', 'theirs']);
});

test('a repository that the parent does not know any more keeps what is here', async () => {
  const { digest } = await push(layer.url, 'all/gone', 'v1', 'gone');
  await pass();
  await rm(join(cloud.folder, 'registry/docker/registry/v2/repositories/all/gone'), { recursive: true });
  await pass();
  assert.deepEqual(await tagsOf(layer.url, 'all/gone'), ['v1']);
  assert.equal((await fetch(`${layer.url}/v2/all/gone/manifests/${digest}`)).status, 200);
});

test('two tags of one manifest: it comes once, both tags are there', async () => {
  const image = await push(cloud.login, 'all/twice', 'a', 'twice');
  await tagImage(cloud.login, 'all/twice', image, 'b');
  await pass();
  assert.deepEqual((await tagsOf(layer.url, 'all/twice')).sort(), ['a', 'b']);
  assert.equal(await sameContent(cloud.login, layer.url, ['all/twice']), undefined);
});

test('a repository added to the configuration file comes without a restart, and without being asked for', async () => {
  await push(cloud.login, 'later', 'v1', 'later');
  const pids = layer.pids();
  await writeFile(config, document(['all/*', 'one', 'later']));
  await layer.event(tagMoved, ({ repository }) => repository === 'later');
  assert.deepEqual(layer.pids(), pids);
});

test('a password file that is not there is said in words, as the end of the pass', async () => {
  await rm(join(folder, 'password'));
  const { ok, failures } = await layer.sync({ maxRequests: 1 });
  assert.equal(ok, false);
  assert.deepEqual(
    failures.map(({ code }) => code),
    ['config-invalid'],
  );
  await writeFile(join(folder, 'password'), account.password);
});

test('a password that is wrong is said in words; a new one in the file is used at the next pass', async () => {
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
