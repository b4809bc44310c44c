import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { listBases } from '#proto/content/manifests.ts';
import { listUnsent, listWithdrawn } from '#proto/sync/outgoing.ts';
import { TREE_LIMITS } from '../../../../services/syncer/reconcile/context/tree-budget.ts';
import { commitManifest } from '../../../../services/syncer/reconcile/pull/pull-load.ts';
import { pushTree } from '../../../../services/syncer/reconcile/push/push-tree.ts';
import { isTransient, linesOf } from '../../../support/proxy/requests.ts';
import {
  deleteManifest,
  firstDifference,
  getManifest,
  pushImage,
  pushIndex,
  tagImage,
} from '../../../support/registry/image.ts';
import { newTag } from '../../../support/sender.ts';
import { PushRig } from './push-rig.ts';

const MIB = 1024 * 1024;

let rig: PushRig;
before(async () => {
  rig = await PushRig.start();
});
after(() => rig?.[Symbol.asyncDispose]());

/** Asserts the references of the manifests that are put, in this order, each once. */
function assertPuts(repository: string, references: string[]): void {
  const puts = rig.manifestPuts(repository);
  const answered = puts.filter((put) => !isTransient(put)).map(({ path }) => path.split('/').at(-1));
  assert.deepEqual(answered, references, linesOf(puts).join('\n'));
}

test('an index is pushed once: its blobs, then manifests with children first, then the tag', async () => {
  rig.resetProxy();
  const amd = await pushImage(rig.layer.url, 'a/index', undefined, { layers: [3_000, 9 * MIB] });
  const arm = await pushImage(rig.layer.url, 'a/index', undefined, {
    layers: [4_000],
    platform: { os: 'linux', architecture: 'arm64' },
  });
  const index = await pushIndex(rig.layer.url, 'a/index', 'v1', [amd, arm]);
  await using up = await rig.context();
  const move = newTag('v1');
  assert.equal(await pushTree(up, 'a/index', index.digest, move), true);
  assert.equal(await firstDifference(rig.layer.url, rig.cloud.url, ['a/index']), undefined);
  assertPuts('a/index', [amd.digest, arm.digest, index.digest, 'v1']);
  const { tags } = await up.bus.call(listBases, { repository: 'a/index', limit: 10 });
  assert.deepEqual(tags, [{ tag: 'v1', digest: index.digest }]);
  const { manifests } = await up.bus.call(listUnsent, { limit: 1000 });
  assert.deepEqual(
    manifests.filter(({ repository }) => repository === 'a/index'),
    [],
  );

  rig.proxy.clearRequests();
  assert.equal(await pushTree(up, 'a/index', index.digest), false);
  const requests = rig.proxy.requests.filter(({ path }) => path.includes('a/index'));
  assert.deepEqual(
    requests.map(({ method }) => method),
    ['HEAD'],
  );
});

test('a blob is mounted from another repository of the parent, also while its push to there runs', async () => {
  rig.resetProxy();
  const shared = { seed: 'shared', size: 5 * MIB };
  const images = await Promise.all(
    ['m/one', 'm/two', 'm/three'].map((name) => pushImage(rig.layer.url, name, 'v1', { layers: [shared] })),
  );
  await using up = await rig.context();
  await Promise.all(
    ['m/one', 'm/two', 'm/three'].map((name, index) => pushTree(up, name, images[index]!.digest)),
  );
  const large = ['m/one', 'm/two', 'm/three'].filter(
    (name) => rig.contentRequests(name).reduce((sum, { received }) => sum + received, 0) > MIB,
  );
  assert.equal(large.length, 1);
  const mounted = rig.layer.events.filter(
    ({ type, data }) =>
      type === 'terrace.transfer.finished' &&
      (data as { digest: string; mounted?: boolean }).digest === images[0]!.layers[0]!.digest &&
      (data as { mounted?: boolean }).mounted,
  );
  assert.equal(mounted.length, 2);
  const later = await pushImage(rig.layer.url, 'm/four', 'v1', { layers: [shared] });
  rig.proxy.clearRequests();
  await pushTree(up, 'm/four', later.digest, newTag('v1'));
  assert.ok(rig.contentRequests('m/four').every(({ received }) => received < MIB));
  assert.equal(await firstDifference(rig.layer.url, rig.cloud.url, ['m/four']), undefined);
});

test('a repository that is not selected is not named to the parent', async () => {
  rig.resetProxy();
  const shared = { seed: 'hidden', size: 50_000 };
  await pushImage(rig.layer.url, 'hidden/one', 'v1', { layers: [shared] });
  const { digest } = await pushImage(rig.layer.url, 'seen/one', 'v1', { layers: [shared] });
  await using up = await rig.context({ select: ['seen/*'] });
  await pushTree(up, 'seen/one', digest);
  const named = rig.proxy.requests.filter(({ path, query }) => `${path} ${query}`.includes('hidden'));
  assert.deepEqual(named, []);
});

test('a tag that moved at the parent is not overwritten', async () => {
  rig.resetProxy();
  const theirs = await pushImage(rig.cloud.url, 'moved', 'v1', { layers: [1_000] });
  const { digest } = await pushImage(rig.layer.url, 'moved', 'v1', { layers: [2_000] });
  await using up = await rig.context();
  await assert.rejects(pushTree(up, 'moved', digest, newTag('v1')), { code: 'conflict' });
  assert.equal((await getManifest(rig.cloud.url, 'moved', 'v1'))?.digest, theirs.digest);
  await pushTree(up, 'moved', digest, { ...newTag('v1'), expect: theirs.digest });
  assert.equal((await getManifest(rig.cloud.url, 'moved', 'v1'))?.digest, digest);
});

test('another tag of content that the parent has is pushed without an upload', async () => {
  rig.resetProxy();
  const image = await pushImage(rig.layer.url, 'tags', 'v1', { layers: [1_000] });
  await using up = await rig.context();
  await pushTree(up, 'tags', image.digest, newTag('v1'));
  await tagImage(rig.layer.url, 'tags', image, 'v2');
  rig.proxy.clearRequests();
  await pushTree(up, 'tags', image.digest, newTag('v2'));
  assertPuts('tags', ['v2']);
  assert.deepEqual(rig.contentRequests('tags'), []);
});

test('a child that a sparse index leaves out here is not withdrawn at the parent', async () => {
  rig.resetProxy();
  const platform = { os: 'linux', architecture: 'arm64' };
  const amd = await pushImage(rig.cloud.url, 'sparse', 'amd');
  await pushImage(rig.layer.url, 'sparse', 'amd');
  const arm = await pushImage(rig.cloud.url, 'sparse', 'arm', { layers: [4_000], platform });
  const index = await pushIndex(rig.cloud.url, 'sparse', 'v1', [amd, arm]);
  const found = (await getManifest(rig.cloud.url, 'sparse', 'v1'))!;
  await deleteManifest(rig.cloud.url, 'sparse', index.digest);
  await using up = await rig.context();
  const pulling = { ...up, transferJobs: { ...up.transferJobs, download: async () => {} } };
  const bytes = { digest: index.digest, mediaType: found.mediaType, bytes: Buffer.from(found.bytes) };
  await commitManifest(pulling, 'sparse', bytes, [{ digest: arm.digest, platform: 'linux/arm64' }]);
  await pushTree(up, 'sparse', index.digest, newTag('v2'));
  assert.equal((await getManifest(rig.cloud.url, 'sparse', 'v2'))?.digest, index.digest);
  const { manifests } = await up.bus.call(listWithdrawn, { limit: 1000 });
  assert.deepEqual(manifests, []);
});

test('an oversized image is not pushed, and fails by name', async () => {
  rig.resetProxy();
  const image = await pushImage(rig.layer.url, 'w/large', undefined, { layers: [1_000, 2_000] });
  const { digest } = await pushIndex(rig.layer.url, 'w/large', 'v1', [image]);
  await using up = await rig.context();
  for (const limit of [{ manifests: 1 }, { blobs: 1 }]) {
    const sending = pushTree(up, 'w/large', digest, undefined, {
      limits: { ...TREE_LIMITS, ...limit },
    });
    await assert.rejects(sending, { code: 'too-large', message: new RegExp(`^${digest} of w/large`) });
  }
  assert.deepEqual([...rig.contentRequests('w/large'), ...rig.manifestPuts('w/large')], []);
});

test('a push of a manifest that the layer lacks fails with manifest-unknown', async () => {
  rig.resetProxy();
  await using up = await rig.context();
  const missing = `sha256:${'0'.repeat(64)}`;
  await assert.rejects(pushTree(up, 'tags', missing), { code: 'manifest-unknown' });
});
