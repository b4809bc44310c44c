import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Acr } from '../../support/azure/acr.ts';
import { Azure } from '../../support/azure/azure.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import {
  deleteManifest,
  firstDifference,
  getManifest,
  pushArtifact,
  pushImage,
  referrersOf,
  tagImage,
  tagsOf,
} from '../../support/registry/image.ts';
import { random } from '../../support/time/random.ts';

/**
 * The requests of a ReadOnly layer to an Azure Container Registry, and the changes that it finds. Each test has a
 * repository of its own.
 */

const stack = new AsyncDisposableStack();
const ROUNDS = process.env.TERRACE_FULL ? 60 : 4;
let azure: Azure;
let acr: Acr;
let layer: TestLayer;

const push = (repository: string, tag: string, seed = `${repository}-${tag}`) =>
  pushImage(acr.backendUrl, repository, tag, { layers: [{ seed, size: 2_000 }] });

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
beforeEach(() => acr.clearRequests());

async function pass(): Promise<void> {
  assert.deepEqual((await layer.sync()).failures, []);
}
const assertInSync = async (repository: string) => {
  await pass();
  assert.deepEqual(await tagsOf(layer.host, repository), await tagsOf(acr.backendUrl, repository));
};
const requests = (pattern: RegExp) => acr.requestLines().filter((request) => pattern.test(request));

test('a pass without changes sends one request per repository and one for the catalog', async () => {
  await pass();
  acr.clearRequests();
  await pass();
  const [catalog, ...rest] = acr.requestLines();
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

test('a pass without selected repositories succeeds only if the registry answers', async () => {
  const unreachable = { ...azure.parent('service-principal'), url: 'https://127.0.0.1:9' };
  await using idle = await testLayer({
    name: 'idle',
    parent: unreachable,
    repositories: [],
    compact: 'hosted',
  });
  assert.equal((await idle.sync()).failures[0]?.code, 'parent-unreachable');
});

test('a push is found by reading only the latest changes', async () => {
  const image = await push('old/a', 'v2');
  await assertInSync('old/a');
  assert.equal((await getManifest(layer.host, 'old/a', 'v2'))?.digest, image.digest);
  assert.deepEqual(requests(/_(tags|manifests)$/), [
    'GET /acr/v1/old/a/_tags',
    'GET /acr/v1/old/a/_manifests',
  ]);
  for (const { query, path } of acr.requests) {
    if (path.endsWith('_tags')) assert.equal(query.get('orderby'), 'timedesc');
  }
  assert.deepEqual(requests(/^HEAD/), []);
  acr.clearRequests();
  await push('new/first', 'v1');
  await assertInSync('new/first');
});

test('a tag that moves to an existing manifest is found', async () => {
  await push('new/moves', 'v1');
  const second = await push('new/moves', 'v2');
  await assertInSync('new/moves');
  await tagImage(acr.backendUrl, 'new/moves', second, 'v1');
  await assertInSync('new/moves');
  assert.equal((await getManifest(layer.host, 'new/moves', 'v1'))?.digest, second.digest);
});

test('a deleted tag is found by the counts alone, and also if another was pushed in its place', async () => {
  for (const tag of ['v1', 'v2', 'v3']) await push('new/untag', tag);
  await assertInSync('new/untag');
  await acr.untag('new/untag', 'v2');
  await assertInSync('new/untag');
  assert.deepEqual(await tagsOf(layer.host, 'new/untag'), ['v1', 'v3']);
  await acr.untag('new/untag', 'v3');
  await push('new/untag', 'v4');
  await assertInSync('new/untag');
  assert.deepEqual(await tagsOf(layer.host, 'new/untag'), ['v1', 'v4']);
});

test('the deletion of an image and of a repository is found', async () => {
  const image = await push('new/deleted', 'v1');
  await push('new/deleted', 'v2');
  await push('new/deleted-repository', 'v1');
  await pass();
  await deleteManifest(acr.backendUrl, 'new/deleted', image.digest);
  acr.store.repositories.delete('new/deleted-repository');
  await pass();
  assert.deepEqual(await tagsOf(layer.host, 'new/deleted'), ['v2']);
  assert.deepEqual(await tagsOf(layer.host, 'new/deleted-repository'), []);
  acr.clearRequests();
  await pass();
  assert.deepEqual(requests(/deleted-repository/), []);
});

test('an added and a deleted referrer without a tag are found', async () => {
  const image = await push('new/referred', 'v1');
  await assertInSync('new/referred');
  const note = await pushArtifact(acr.backendUrl, 'new/referred', { subject: image });
  const here = async () => [...(await referrersOf(layer.host, 'new/referred', image.digest))];
  await pass();
  assert.deepEqual(await here(), [note.digest]);
  await deleteManifest(acr.backendUrl, 'new/referred', note.digest);
  await pass();
  assert.deepEqual(await here(), []);
});

test('after any changes in any order, the layer is equal to the registry', async () => {
  const repository = 'new/any';
  const next = random(7);
  const tags = ['a', 'b', 'c', 'd', 'e'];
  const pick = <T>(list: T[]): T => list[Math.floor(next() * list.length)] as T;
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let step = 0; step < 3; step += 1) {
      const digests = [...(acr.store.repositories.get(repository)?.manifests.keys() ?? [])];
      const kind = pick(['push', 'push', 'untag', 'delete', 'refer']);
      const digest = digests.length > 0 ? pick(digests) : undefined;
      const subject = digest && (await getManifest(acr.backendUrl, repository, digest));
      if (kind === 'push' || !subject) await push(repository, pick(tags), `any-${round}-${step}`);
      else if (kind === 'untag') await acr.untag(repository, pick(tags));
      else if (kind === 'refer') await pushArtifact(acr.backendUrl, repository, { subject });
      else await deleteManifest(acr.backendUrl, repository, subject.digest);
    }
    await pass();
    assert.equal(
      await firstDifference(acr.backendUrl, layer.host, [repository]),
      undefined,
      `round ${round}`,
    );
  }
});

test('a deletion before a full pass is found by the pass after it', async () => {
  await push('new/before', 'v1');
  await assertInSync('new/before');
  acr.store.repositories.delete('new/before');
  assert.deepEqual((await layer.sync({ full: true })).failures, []);
  await pass();
  assert.deepEqual(await tagsOf(layer.host, 'new/before'), []);
});

test('lists are read up to their last page', async () => {
  const image = await push('new/pages', 't-000');
  for (let number = 1; number < 230; number += 1) {
    const tag = `t-${String(number).padStart(3, '0')}`;
    acr.store.put('new/pages', tag, image.mediaType, image.bytes);
  }
  await assertInSync('new/pages');
  assert.equal((await tagsOf(layer.host, 'new/pages')).length, 230);
  await acr.untag('new/pages', 't-100');
  await assertInSync('new/pages');
});

test('an answer 429 is retried', async () => {
  await push('new/busy', 'v1');
  acr.throttled = [{ path: /^\/acr\/v1\/new\/busy$/, times: 1, after: 1 }];
  await assertInSync('new/busy');
});

test('changes that could not be pulled are found again, also after a restart', async () => {
  await push('new/again', 'v1');
  await assertInSync('new/again');
  await push('new/again', 'v2');
  acr.throttled = [{ path: /^\/v2\/new\/again\/manifests\//, times: 3, after: 600 }];
  assert.notEqual((await layer.sync()).failed, 0);
  acr.throttled = [];
  await layer.stop();
  await push('old/b', 'v2');
  acr.clearRequests();
  await layer.start();
  await assertInSync('new/again');
  await assertInSync('old/b');
  // The scan continues from its marks: no unchanged repository is listed.
  assert.deepEqual(requests(/\/one\/|tags\/list/), []);
});

test('a registry without this API is compared by lists', async () => {
  acr.plain = true;
  try {
    await push('one', 'v2');
    await assertInSync('one');
    assert.ok(requests(/GET \/v2\/one\/tags\/list/).length > 0);
  } finally {
    acr.plain = false;
  }
});
