import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Acr } from '../../support/azure/acr.ts';
import { Azure } from '../../support/azure/azure.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import {
  deleteManifest,
  getManifest,
  pushArtifact,
  pushImage,
  referrersOf,
  sameContent,
  tagImage,
  tagsOf,
} from '../../support/registry/image.ts';
import { random } from '../../support/time/random.ts';

/**
 * What a ReadOnly layer asks of an Azure Container Registry, and that it misses nothing. Each test has a repository of
 * its own.
 */

const stack = new AsyncDisposableStack();
const ROUNDS = process.env.TERRACE_FULL ? 60 : 4;
let azure: Azure;
let acr: Acr;
let layer: TestLayer;

const push = (repository: string, tag: string, seed = `${repository}-${tag}`) =>
  pushImage(acr.back, repository, tag, { layers: [{ seed, size: 2_000 }] });

before(async () => {
  azure = stack.use(await Azure.start());
  acr = azure.acr;
  for (const name of ['old/a', 'old/b', 'one', 'left-out']) await push(name, 'v1');
  layer = stack.use(
    await testLayer({
      name: 'top',
      parent: azure.parent('service-principal'),
      repositories: ['old/*', 'new/*', 'one'],
      compact: 'hosted',
    }),
  );
  await pass();
});
after(() => stack.disposeAsync());
beforeEach(() => acr.forget());

async function pass(): Promise<void> {
  assert.deepEqual((await layer.sync()).failures, []);
}
const inStep = async (repository: string) => {
  await pass();
  assert.deepEqual(await tagsOf(layer.host, repository), await tagsOf(acr.back, repository));
};
const asked = (what: RegExp) => acr.asked().filter((request) => what.test(request));

test('a pass in which nothing has changed is one request for each repository, and the catalog', async () => {
  await pass();
  acr.forget();
  await pass();
  const [catalog, ...rest] = acr.asked();
  assert.equal(catalog, 'GET /v2/_catalog');
  const names = [...new Set(rest)].map((request) => request.slice('GET /acr/v1/'.length));
  assert.equal(rest.length, names.length, rest.join('\n'));
  for (const name of ['old/a', 'old/b', 'one']) assert.ok(names.includes(name), name);
  assert.ok(
    rest.every((request) => request.startsWith('GET /acr/v1/')),
    rest.join('\n'),
  );
  assert.ok(!names.includes('left-out'));
});

test('where nothing is asked for, a pass is good only if the registry answers', async () => {
  const gone = { ...azure.parent('service-principal'), url: 'https://127.0.0.1:9' };
  await using idle = await testLayer({ name: 'idle', parent: gone, repositories: [], compact: 'hosted' });
  assert.equal((await idle.sync()).failures[0]?.code, 'parent-unreachable');
});

test('a push is found, by what changed last alone', async () => {
  const image = await push('old/a', 'v2');
  await inStep('old/a');
  assert.equal((await getManifest(layer.host, 'old/a', 'v2'))?.digest, image.digest);
  assert.deepEqual(asked(/_(tags|manifests)$/), ['GET /acr/v1/old/a/_tags', 'GET /acr/v1/old/a/_manifests']);
  for (const { query, path } of acr.requests) {
    if (path.endsWith('_tags')) assert.equal(query.get('orderby'), 'timedesc');
  }
  assert.deepEqual(asked(/^HEAD/), []);
  acr.forget();
  await push('new/first', 'v1');
  await inStep('new/first');
});

test('a tag that moves to what is there is found', async () => {
  await push('new/moves', 'v1');
  const second = await push('new/moves', 'v2');
  await inStep('new/moves');
  await tagImage(acr.back, 'new/moves', second, 'v1');
  await inStep('new/moves');
  assert.equal((await getManifest(layer.host, 'new/moves', 'v1'))?.digest, second.digest);
});

test('an untag is found by the numbers alone, and with a push in its place', async () => {
  for (const tag of ['v1', 'v2', 'v3']) await push('new/untag', tag);
  await inStep('new/untag');
  await acr.untag('new/untag', 'v2');
  await inStep('new/untag');
  assert.deepEqual(await tagsOf(layer.host, 'new/untag'), ['v1', 'v3']);
  await acr.untag('new/untag', 'v3');
  await push('new/untag', 'v4');
  await inStep('new/untag');
  assert.deepEqual(await tagsOf(layer.host, 'new/untag'), ['v1', 'v4']);
});

test('the deletion of an image and that of a repository are found', async () => {
  const image = await push('new/goes', 'v1');
  await push('new/goes', 'v2');
  await push('new/goes-whole', 'v1');
  await pass();
  await deleteManifest(acr.back, 'new/goes', image.digest);
  acr.store.repositories.delete('new/goes-whole');
  await pass();
  assert.deepEqual(await tagsOf(layer.host, 'new/goes'), ['v2']);
  assert.deepEqual(await tagsOf(layer.host, 'new/goes-whole'), []);
  acr.forget();
  await pass();
  assert.deepEqual(asked(/goes-whole/), []);
});

test('a referrer that comes and goes without a tag is found', async () => {
  const image = await push('new/referred', 'v1');
  await inStep('new/referred');
  const note = await pushArtifact(acr.back, 'new/referred', { subject: image });
  const here = async () => [...(await referrersOf(layer.host, 'new/referred', image.digest))];
  await pass();
  assert.deepEqual(await here(), [note.digest]);
  await deleteManifest(acr.back, 'new/referred', note.digest);
  await pass();
  assert.deepEqual(await here(), []);
});

test('whatever changes, in whatever order, the layer is as the registry is', async () => {
  const repository = 'new/any';
  const next = random(7);
  const tags = ['a', 'b', 'c', 'd', 'e'];
  const pick = <T>(list: T[]): T => list[Math.floor(next() * list.length)] as T;
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let step = 0; step < 3; step += 1) {
      const there = [...(acr.store.repositories.get(repository)?.manifests.keys() ?? [])];
      const kind = pick(['push', 'push', 'untag', 'delete', 'refer']);
      const digest = there.length > 0 ? pick(there) : undefined;
      const subject = digest && (await getManifest(acr.back, repository, digest));
      if (kind === 'push' || !subject) await push(repository, pick(tags), `any-${round}-${step}`);
      else if (kind === 'untag') await acr.untag(repository, pick(tags));
      else if (kind === 'refer') await pushArtifact(acr.back, repository, { subject });
      else await deleteManifest(acr.back, repository, subject.digest);
    }
    await pass();
    assert.equal(await sameContent(acr.back, layer.host, [repository]), undefined, `round ${round}`);
  }
});

test('a deletion before everything is compared is found by the pass behind it', async () => {
  await push('new/before', 'v1');
  await inStep('new/before');
  acr.store.repositories.delete('new/before');
  assert.deepEqual((await layer.sync({ full: true })).failures, []);
  await pass();
  assert.deepEqual(await tagsOf(layer.host, 'new/before'), []);
});

test('lists in pages are read to their end', async () => {
  const image = await push('new/pages', 't-000');
  for (let number = 1; number < 230; number += 1) {
    const tag = `t-${String(number).padStart(3, '0')}`;
    acr.store.put('new/pages', tag, image.mediaType, image.bytes);
  }
  await inStep('new/pages');
  assert.equal((await tagsOf(layer.host, 'new/pages')).length, 230);
  await acr.untag('new/pages', 't-100');
  await inStep('new/pages');
});

test('429 is waited for', async () => {
  await push('new/busy', 'v1');
  acr.busy = [{ path: /^\/acr\/v1\/new\/busy$/, times: 1, after: 1 }];
  await inStep('new/busy');
});

test('what could not be brought is found again, and so is all of it after a restart', async () => {
  await push('new/again', 'v1');
  await inStep('new/again');
  await push('new/again', 'v2');
  acr.busy = [{ path: /^\/v2\/new\/again\/manifests\//, times: 3, after: 600 }];
  assert.notEqual((await layer.sync()).failed, 0);
  acr.busy = [];
  await layer.stop();
  await push('old/b', 'v2');
  acr.forget();
  await layer.start();
  await inStep('new/again');
  await inStep('old/b');
  // It goes on from its marks: of what has not changed, nothing is listed.
  assert.deepEqual(asked(/\/one\/|tags\/list/), []);
});

test('a registry without such an interface is compared by lists', async () => {
  acr.plain = true;
  try {
    await push('one', 'v2');
    await inStep('one');
    assert.ok(asked(/GET \/v2\/one\/tags\/list/).length > 0);
  } finally {
    acr.plain = false;
  }
});
