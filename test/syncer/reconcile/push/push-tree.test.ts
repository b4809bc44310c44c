import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { listBases } from '#proto/content/manifests.ts';
import { listUnsent, listWithdrawn } from '#proto/sync/outgoing.ts';
import { transferFailed } from '#proto/sync/transfers.ts';
import { TREE_LIMITS } from '../../../../services/syncer/reconcile/context/tree-budget.ts';
import { commitManifest } from '../../../../services/syncer/reconcile/pull/pull-load.ts';
import { pushTree } from '../../../../services/syncer/reconcile/push/push-tree.ts';
import { type TestLayer, testLayer } from '../../../support/layer.ts';
import { type Action, type FaultProxy, startProxy } from '../../../support/proxy/fault-proxy.ts';
import { isTransient, linesOf } from '../../../support/proxy/requests.ts';
import { type Cloud, startCloud } from '../../../support/registry/cloud.ts';
import {
  deleteManifest,
  firstDifference,
  getManifest,
  pushArtifact,
  pushImage,
  pushIndex,
  tagImage,
} from '../../../support/registry/image.ts';
import { pushContext } from '../../../support/sender.ts';
import { patience, slowedRate } from '../../../support/until.ts';

/** Pushes from a layer to a docker-registry that requires tokens. Each test has its own repositories. */
const account = { username: 'layer', password: 'a secret of the layer' };
const MIB = 1024 * 1024;
let folder: string;
let cloud: Cloud;
let proxy: FaultProxy;
let layer: TestLayer;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-send-'));
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, `${account.password}\n`);
  cloud = await startCloud();
  proxy = await startProxy(cloud.url, { access: { bearer: { account } } });
  const parent = { url: proxy.url, username: account.username, passwordFile };
  layer = await testLayer({ parent, mode: 'ReadWrite', env: { TERRACE_STALL_MS: String(patience(1_000)) } });
  // Otherwise, the layer's first pass might push the content of the first test, too.
  await layer.sync();
});

after(async () => {
  await layer?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await cloud?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const deps = (options = {}) => pushContext(layer, { url: proxy.url, login: account }, options);
const resetProxy = () => {
  proxy.fault();
  proxy.clearRequests();
};
/** Requests that carry content of blobs. */
const contentRequests = (repository: string) =>
  proxy.requests.filter(
    ({ method, path }) => /^P(ATCH|UT)$/.test(method) && path.startsWith(`/v2/${repository}/blobs/uploads/`),
  );
const manifestPuts = (repository: string) =>
  proxy.requests.filter(
    ({ method, path }) => method === 'PUT' && path.startsWith(`/v2/${repository}/manifests/`),
  );
/** Asserts the references of the manifests that are put, in this order, each once. */
function assertPuts(repository: string, references: string[]): void {
  const puts = manifestPuts(repository);
  const answered = puts.filter((put) => !isTransient(put)).map(({ path }) => path.split('/').at(-1));
  assert.deepEqual(answered, references, linesOf(puts).join('\n'));
}

test('an index is pushed once: its blobs, then manifests with children first, then the tag', async () => {
  resetProxy();
  const amd = await pushImage(layer.url, 'a/index', undefined, { layers: [3_000, 9 * MIB] });
  const arm = await pushImage(layer.url, 'a/index', undefined, {
    layers: [4_000],
    platform: { os: 'linux', architecture: 'arm64' },
  });
  const index = await pushIndex(layer.url, 'a/index', 'v1', [amd, arm]);
  await using up = await deps();
  const move = { tag: 'v1', expect: undefined };
  assert.equal(await pushTree(up, 'a/index', index.digest, move), true);
  assert.equal(await firstDifference(layer.url, cloud.url, ['a/index']), undefined);
  assertPuts('a/index', [amd.digest, arm.digest, index.digest, 'v1']);
  const { tags } = await up.bus.call(listBases, { repository: 'a/index', limit: 10 });
  assert.deepEqual(tags, [{ tag: 'v1', digest: index.digest }]);
  const { manifests } = await up.bus.call(listUnsent, { limit: 1000 });
  assert.deepEqual(
    manifests.filter(({ repository }) => repository === 'a/index'),
    [],
  );

  proxy.clearRequests();
  assert.equal(await pushTree(up, 'a/index', index.digest), false);
  const requests = proxy.requests.filter(({ path }) => path.includes('a/index'));
  assert.deepEqual(
    requests.map(({ method }) => method),
    ['HEAD'],
  );
});

test('a blob is mounted from another repository of the parent, also while its push to there runs', async () => {
  resetProxy();
  const shared = { seed: 'shared', size: 5 * MIB };
  const images = await Promise.all(
    ['m/one', 'm/two', 'm/three'].map((name) => pushImage(layer.url, name, 'v1', { layers: [shared] })),
  );
  await using up = await deps();
  await Promise.all(
    ['m/one', 'm/two', 'm/three'].map((name, index) => pushTree(up, name, images[index]!.digest)),
  );
  const large = ['m/one', 'm/two', 'm/three'].filter(
    (name) => contentRequests(name).reduce((sum, { received }) => sum + received, 0) > MIB,
  );
  assert.equal(large.length, 1);
  const mounted = layer.events.filter(
    ({ type, data }) =>
      type === 'terrace.transfer.finished' &&
      (data as { digest: string; mounted?: boolean }).digest === images[0]!.layers[0]!.digest &&
      (data as { mounted?: boolean }).mounted,
  );
  assert.equal(mounted.length, 2);
  const later = await pushImage(layer.url, 'm/four', 'v1', { layers: [shared] });
  proxy.clearRequests();
  await pushTree(up, 'm/four', later.digest, { tag: 'v1', expect: undefined });
  assert.ok(contentRequests('m/four').every(({ received }) => received < MIB));
  assert.equal(await firstDifference(layer.url, cloud.url, ['m/four']), undefined);
});

test('a repository that is not selected is not named to the parent', async () => {
  resetProxy();
  const shared = { seed: 'hidden', size: 50_000 };
  await pushImage(layer.url, 'hidden/one', 'v1', { layers: [shared] });
  const { digest } = await pushImage(layer.url, 'seen/one', 'v1', { layers: [shared] });
  await using up = await deps({ select: ['seen/*'] });
  await pushTree(up, 'seen/one', digest);
  const named = proxy.requests.filter(({ path, query }) => `${path} ${query}`.includes('hidden'));
  assert.deepEqual(named, []);
});

/** Faults after which the same push continues and succeeds. */
const transientFaults: [string, 'PATCH' | 'PUT' | 'POST', RegExp, Action][] = [
  [
    '429 with Retry-After to a piece',
    'PATCH',
    /uploads/,
    { answer: { status: 429, headers: { 'retry-after': '1' } } },
  ],
  ['500 to a piece', 'PATCH', /uploads/, { answer: { status: 500 } }],
  ['a connection closed without an answer', 'PATCH', /uploads/, { drop: true }],
  ['503 to the end of an upload', 'PUT', /uploads/, { answer: { status: 503 } }],
  ['502 to the beginning of an upload', 'POST', /uploads/, { answer: { status: 502 } }],
  ['500 to a manifest', 'PUT', /manifests/, { answer: { status: 500 } }],
  ['an upload session that the parent has lost', 'PATCH', /uploads/, { answer: { status: 404 } }],
];
for (const [index, [name, method, path, action]] of transientFaults.entries()) {
  test(`a push continues after ${name}`, async () => {
    resetProxy();
    const repository = `passing/${index}`;
    const { digest } = await pushImage(layer.url, repository, 'v1', { layers: [6 * MIB] });
    let left = 1;
    proxy.fault((seen) => {
      const hit = seen.method === method && path.test(seen.path) && seen.path.includes(repository);
      if (!hit || left === 0) return undefined;
      left -= 1;
      return action;
    });
    await using up = await deps();
    await pushTree(up, repository, digest, { tag: 'v1', expect: undefined });
    assert.equal(left, 0);
    assert.equal(await firstDifference(layer.url, cloud.url, [repository]), undefined);
  });
}

test('a token that expires during an upload is renewed', async () => {
  resetProxy();
  const { digest } = await pushImage(layer.url, 'tokens', 'v1', { layers: [10 * MIB] });
  proxy.fault(({ method, path, index }) => {
    if (method === 'PATCH' && path.includes('tokens') && index === 1) proxy.expireTokens();
    return undefined;
  });
  await using up = await deps();
  await pushTree(up, 'tokens', digest, { tag: 'v1', expect: undefined });
  proxy.fault();
  assert.equal(await firstDifference(layer.url, cloud.url, ['tokens']), undefined);
  assert.ok(proxy.requests.some(({ method, status }) => method === 'PATCH' && status === 401));
});

test('an upload continues after an outage between two pieces, and restarts after a torn piece', async () => {
  const SIZE = 10 * MIB;
  resetProxy();
  const paused = await pushImage(layer.url, 'paused', 'v1', { layers: [SIZE] });
  const torn = await pushImage(layer.url, 'torn', 'v1', { layers: [SIZE + 1] });
  const bytes = (repository: string) =>
    contentRequests(repository).reduce((sum, { received }) => sum + received, 0);
  await using up = await deps();
  proxy.fault(({ method, index, path }) =>
    method === 'PATCH' && path.includes('/paused/') && index === 1 ? { drop: true } : undefined,
  );
  await pushTree(up, 'paused', paused.digest, { tag: 'v1', expect: undefined });
  assert.equal(await firstDifference(layer.url, cloud.url, ['paused']), undefined);
  assert.ok(contentRequests('paused').some(({ method, index }) => method === 'PATCH' && index === 1));
  assert.ok(bytes('paused') < SIZE + MIB, `${bytes('paused')} bytes`);

  proxy.fault();
  proxy.bandwidth = { total: slowedRate(8 * MIB) };
  const sending = pushTree(up, 'torn', torn.digest, { tag: 'v1', expect: undefined });
  await proxy.until(() => bytes('torn') >= 6 * MIB);
  await proxy.down();
  await proxy.up();
  proxy.bandwidth = {};
  await sending;
  assert.equal(await firstDifference(layer.url, cloud.url, ['torn']), undefined);
  const started = proxy.requests.filter(
    ({ method, path, status }) => method === 'POST' && path === '/v2/torn/blobs/uploads/' && status === 202,
  );
  assert.ok(started.length >= 3, 'config, layer, and the layer again');
});

test('a syncer that is stopped during an upload tears no piece', async () => {
  const SIZE = 14 * MIB;
  resetProxy();
  const { digest } = await pushImage(layer.url, 'ended', 'v1', { layers: [SIZE] });
  const bytes = () => contentRequests('ended').reduce((sum, { received }) => sum + received, 0);
  proxy.bandwidth = { total: slowedRate(6 * MIB) };
  await using up = await deps();
  const sending = pushTree(up, 'ended', digest, { tag: 'v1', expect: undefined });
  await proxy.until(() => bytes() >= 5 * MIB);
  process.kill(layer.pid('syncer-1'), 'SIGTERM');
  await sending;
  proxy.bandwidth = {};
  assert.equal(await firstDifference(layer.url, cloud.url, ['ended']), undefined);
  assert.ok(bytes() < SIZE + MIB, `${bytes()} bytes`);
});

test('a refusal of the parent is reported with its status', async () => {
  resetProxy();
  const { digest, layers } = await pushImage(layer.url, 'refused', 'v1', { layers: [2 * MIB] });
  proxy.fault(({ method, path }) =>
    method !== 'POST' && path.startsWith('/v2/refused/blobs/uploads/')
      ? { answer: { status: 413, body: '<h1>Too large</h1>' } }
      : undefined,
  );
  await using up = await deps();
  const refusal = { code: 'parent-refused', detail: { status: 413 } };
  await assert.rejects(pushTree(up, 'refused', digest), refusal);
  const failed = await layer.event(transferFailed, (data) => data.digest === layers[0]!.digest);
  assert.equal(failed.status, 413);

  proxy.fault(({ method, path }) =>
    method === 'PUT' && path.startsWith('/v2/refused/manifests/')
      ? { answer: { status: 403, body: '{"errors":[{"code":"DENIED","message":"no"}]}' } }
      : undefined,
  );
  await assert.rejects(pushTree(up, 'refused', digest), {
    code: 'parent-refused',
    detail: { status: 403, reason: 'DENIED' },
  });
});

test('a blob that the parent falsely claims to have is pushed once it refuses the manifest', async () => {
  resetProxy();
  const { digest, layers } = await pushImage(layer.url, 'phantom', 'v1', { layers: [70_000] });
  const blob = `/v2/phantom/blobs/${layers[0]!.digest}`;
  proxy.fault(({ method, path }) =>
    method === 'HEAD' && path === blob ? { answer: { status: 200 } } : undefined,
  );
  await using up = await deps();
  await pushTree(up, 'phantom', digest, { tag: 'v1', expect: undefined });
  proxy.fault();
  assert.equal(await firstDifference(layer.url, cloud.url, ['phantom']), undefined);
});

test('a tag that moved at the parent is not overwritten', async () => {
  resetProxy();
  const theirs = await pushImage(cloud.url, 'moved', 'v1', { layers: [1_000] });
  const { digest } = await pushImage(layer.url, 'moved', 'v1', { layers: [2_000] });
  await using up = await deps();
  await assert.rejects(pushTree(up, 'moved', digest, { tag: 'v1', expect: undefined }), { code: 'conflict' });
  assert.equal((await getManifest(cloud.url, 'moved', 'v1'))?.digest, theirs.digest);
  await pushTree(up, 'moved', digest, { tag: 'v1', expect: theirs.digest });
  assert.equal((await getManifest(cloud.url, 'moved', 'v1'))?.digest, digest);
});

test('another tag of content that the parent has is pushed without an upload', async () => {
  resetProxy();
  const image = await pushImage(layer.url, 'tags', 'v1', { layers: [1_000] });
  await using up = await deps();
  await pushTree(up, 'tags', image.digest, { tag: 'v1', expect: undefined });
  await tagImage(layer.url, 'tags', image, 'v2');
  proxy.clearRequests();
  await pushTree(up, 'tags', image.digest, { tag: 'v2', expect: undefined });
  assertPuts('tags', ['v2']);
  assert.deepEqual(contentRequests('tags'), []);
});

test('referrers are added to the referrers tag of a parent without the referrers API', async () => {
  resetProxy();
  const subject = await pushImage(layer.url, 'signed', 'v1');
  const one = await pushArtifact(layer.url, 'signed', { subject, annotations: { by: 'one' } });
  const two = await pushArtifact(layer.url, 'signed', {
    subject,
    artifactType: 'application/vnd.example.two',
  });
  await using up = await deps();
  for (const { digest } of [subject, one, two, one]) await pushTree(up, 'signed', digest);
  const list = await getManifest(cloud.url, 'signed', subject.digest.replace(':', '-'));
  const { manifests } = JSON.parse(list!.bytes.toString());
  assert.deepEqual(
    manifests.map(({ digest, artifactType, annotations }: Record<string, unknown>) => [
      digest,
      artifactType,
      annotations,
    ]),
    [
      [one.digest, 'application/vnd.example.note', { by: 'one' }],
      [two.digest, 'application/vnd.example.two', undefined],
    ],
  );
});

test('all referrers of an image are added to its referrers tag, also when pushed in parallel', async () => {
  resetProxy();
  const subject = await pushImage(layer.url, 'many', 'v1');
  const names = ['one', 'two', 'three', 'four', 'five'];
  const notes = await Promise.all(
    names.map((by) => pushArtifact(layer.url, 'many', { subject, annotations: { by } })),
  );
  await using up = await deps();
  await pushTree(up, 'many', subject.digest);
  await Promise.all(notes.map(({ digest }) => pushTree(up, 'many', digest)));
  const list = await getManifest(cloud.url, 'many', subject.digest.replace(':', '-'));
  const { manifests } = JSON.parse(list!.bytes.toString());
  assert.deepEqual(
    manifests.map(({ digest }: { digest: string }) => digest).sort(),
    notes.map(({ digest }) => digest).sort(),
  );
});

test('a pushed referrer that is missing in the referrers tag is added by the next pass', async () => {
  resetProxy();
  const subject = await pushImage(layer.url, 'unlisted', 'v1');
  const one = await pushArtifact(layer.url, 'unlisted', { subject });
  await using up = await deps();
  const list = subject.digest.replace(':', '-');
  await pushTree(up, 'unlisted', subject.digest);
  proxy.fault(({ method, path }) =>
    method === 'PUT' && path.endsWith(list) ? { answer: { status: 403 } } : undefined,
  );
  await assert.rejects(pushTree(up, 'unlisted', one.digest), { code: 'parent-refused' });
  resetProxy();
  await pushTree(up, 'unlisted', one.digest);
  const { manifests } = JSON.parse((await getManifest(cloud.url, 'unlisted', list))!.bytes.toString());
  assert.deepEqual(
    manifests.map(({ digest }: { digest: string }) => digest),
    [one.digest],
  );
});

test('a child that a sparse index leaves out here is not withdrawn at the parent', async () => {
  resetProxy();
  const platform = { os: 'linux', architecture: 'arm64' };
  const amd = await pushImage(cloud.url, 'sparse', 'amd');
  await pushImage(layer.url, 'sparse', 'amd');
  const arm = await pushImage(cloud.url, 'sparse', 'arm', { layers: [4_000], platform });
  const index = await pushIndex(cloud.url, 'sparse', 'v1', [amd, arm]);
  const found = (await getManifest(cloud.url, 'sparse', 'v1'))!;
  await deleteManifest(cloud.url, 'sparse', index.digest);
  await using up = await deps();
  const pulling = { ...up, transferJobs: { ...up.transferJobs, download: async () => {} } };
  const bytes = { digest: index.digest, mediaType: found.mediaType, bytes: Buffer.from(found.bytes) };
  await commitManifest(pulling, 'sparse', bytes, [{ digest: arm.digest, platform: 'linux/arm64' }]);
  await pushTree(up, 'sparse', index.digest, { tag: 'v2', expect: undefined });
  assert.equal((await getManifest(cloud.url, 'sparse', 'v2'))?.digest, index.digest);
  const { manifests } = await up.bus.call(listWithdrawn, { limit: 1000 });
  assert.deepEqual(manifests, []);
});

test('an oversized image is not pushed, and fails by name', async () => {
  resetProxy();
  const image = await pushImage(layer.url, 'w/large', undefined, { layers: [1_000, 2_000] });
  const { digest } = await pushIndex(layer.url, 'w/large', 'v1', [image]);
  await using up = await deps();
  for (const limit of [{ manifests: 1 }, { blobs: 1 }]) {
    const sending = pushTree(up, 'w/large', digest, undefined, { ...TREE_LIMITS, ...limit });
    await assert.rejects(sending, { code: 'too-large', message: new RegExp(`^${digest} of w/large`) });
  }
  assert.deepEqual([...contentRequests('w/large'), ...manifestPuts('w/large')], []);
});

test('a push of a manifest that the layer lacks fails with manifest-unknown', async () => {
  resetProxy();
  await using up = await deps();
  const missing = `sha256:${'0'.repeat(64)}`;
  await assert.rejects(pushTree(up, 'tags', missing), { code: 'manifest-unknown' });
});
