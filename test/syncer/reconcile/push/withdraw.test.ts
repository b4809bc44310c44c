import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setBases } from '#proto/content/manifests.ts';
import { placeholder } from '../../../../services/syncer/reconcile/context/placeholder.ts';
import { pushTree } from '../../../../services/syncer/reconcile/push/push-tree.ts';
import { withdrawManifest, withdrawTag } from '../../../../services/syncer/reconcile/push/withdraw.ts';
import { type TestLayer, testLayer } from '../../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../../../support/registry/cloud.ts';
import {
  deleteManifest,
  getManifest,
  pushArtifact,
  pushImage,
  tagImage,
  tagsOf,
} from '../../../support/registry/image.ts';
import { pushContext } from '../../../support/sender.ts';

/** Withdrawals at a docker-registry, which deletes by digest only, and at a Terrace, which deletes tags by name. */
let cloud: Cloud;
let top: TestLayer;
let layer: TestLayer;
let proxy: FaultProxy;

before(async () => {
  cloud = await startCloud();
  proxy = await startProxy(cloud.url);
  top = await testLayer({ compact: 'hosted' });
  layer = await testLayer({ parent: proxy.url, mode: 'ReadWrite', compact: 'hosted' });
  // Otherwise, the layer's first pass might push the content of the first test, too.
  await layer.sync();
});

after(async () => {
  await layer?.[Symbol.asyncDispose]();
  await top?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await cloud?.[Symbol.asyncDispose]();
});

/** Parent and layer never agreed on the tag. */
const NEVER = { base: null };

const digestAt = async (url: string, repository: string, reference: string) =>
  (await getManifest(url, repository, reference))?.digest;

test('the withdrawal of one of two tags with the same content retains the other', async () => {
  const image = await pushImage(cloud.url, 'two', 'v1');
  await tagImage(cloud.url, 'two', image, 'v2');
  await using up = await pushContext(layer, { url: cloud.url });
  await withdrawTag(up, 'two', 'v1', { expect: image.digest, known: NEVER, shared: async () => true });
  assert.deepEqual(await tagsOf(cloud.url, 'two'), ['v2']);
  assert.equal(await digestAt(cloud.url, 'two', 'v2'), image.digest);
  // The last tag is deleted with its content.
  await withdrawTag(up, 'two', 'v2', { expect: image.digest, known: NEVER, shared: async () => false });
  assert.deepEqual(await tagsOf(cloud.url, 'two'), []);
  assert.equal(await digestAt(cloud.url, 'two', image.digest), undefined);
});

test('a withdrawal that was interrupted between its two steps is finished by the next one', async () => {
  const image = await pushImage(cloud.url, 'half', 'v1');
  await using up = await pushContext(layer, { url: proxy.url });
  const marker = placeholder('half', 'v1');
  proxy.fault(({ method }) => (method === 'DELETE' ? { answer: { status: 403 } } : undefined));
  await assert.rejects(
    withdrawTag(up, 'half', 'v1', { expect: image.digest, known: NEVER, shared: async () => true }),
    {
      code: 'parent-refused',
    },
  );
  let deletions = 0;
  proxy.fault(({ method, path }) => {
    if (method !== 'DELETE' || path.endsWith('/v1')) return undefined;
    deletions += 1;
    return deletions > 1 ? { answer: { status: 403 } } : undefined;
  });
  await assert.rejects(
    withdrawTag(up, 'half', 'v1', {
      expect: image.digest,
      known: { base: image.digest },
      shared: async () => true,
    }),
    {
      code: 'parent-refused',
    },
  );
  assert.equal(await digestAt(cloud.url, 'half', 'v1'), marker.digest);
  proxy.fault();
  await withdrawTag(up, 'half', 'v1', {
    expect: image.digest,
    known: { base: image.digest, sending: null },
    shared: async () => true,
  });
  assert.deepEqual(await tagsOf(cloud.url, 'half'), []);
});

test('a parent that refuses all deletions retains the tag as it is', async () => {
  const image = await pushImage(cloud.url, 'kept', 'v1');
  await using up = await pushContext(layer, { url: proxy.url });
  proxy.fault(({ method }) => (method === 'DELETE' ? { answer: { status: 405 } } : undefined));
  const refusals = [
    { shared: true, known: NEVER },
    { shared: false, known: { base: image.digest } },
  ];
  for (const { shared, known } of refusals) {
    await assert.rejects(
      withdrawTag(up, 'kept', 'v1', { expect: image.digest, known, shared: async () => shared }),
      {
        code: 'parent-refused',
      },
    );
    assert.equal(await digestAt(cloud.url, 'kept', 'v1'), image.digest);
  }
  proxy.fault();
});

test('a tag that moved at the parent is not withdrawn', async () => {
  for (const { url } of [cloud, top]) {
    const image = await pushImage(url, 'moved', 'v1');
    await using up = await pushContext(layer, { url });
    const expect = `sha256:${'0'.repeat(64)}`;
    await assert.rejects(
      withdrawTag(up, 'moved', 'v1', { expect, known: NEVER, shared: async () => false }),
      {
        code: 'conflict',
      },
    );
    assert.equal(await digestAt(url, 'moved', 'v1'), image.digest);
    await withdrawTag(up, 'moved', 'v1', { expect: image.digest, known: NEVER, shared: async () => false });
    assert.equal(await digestAt(url, 'moved', 'v1'), undefined);
    // A second withdrawal has nothing to do.
    await withdrawTag(up, 'moved', 'v1', { expect: image.digest, known: NEVER, shared: async () => false });
  }
});

test('a Terrace deletes a tag by name, and retains its content', async () => {
  const image = await pushImage(top.url, 'named', 'v1');
  await using up = await pushContext(layer, { url: top.url });
  await up.bus.call(setBases, { repository: 'named', bases: [{ tag: 'v1', digest: image.digest }] });
  await withdrawTag(up, 'named', 'v1', {
    expect: image.digest,
    known: { base: image.digest },
    shared: async () => false,
  });
  assert.deepEqual(await tagsOf(top.url, 'named'), []);
  assert.equal(await digestAt(top.url, 'named', image.digest), image.digest);
});

test('a withdrawn manifest is deleted at the parent and from the referrers tag of its subject', async () => {
  const subject = await pushImage(layer.url, 'signed', 'v1');
  const one = await pushArtifact(layer.url, 'signed', { subject });
  const two = await pushArtifact(layer.url, 'signed', { subject, annotations: { by: 'two' } });
  await using up = await pushContext(layer, { url: cloud.url });
  for (const { digest } of [subject, one, two]) await pushTree(up, 'signed', digest);
  await deleteManifest(layer.url, 'signed', one.digest);
  // A client that has not yet detected that the parent lacks the referrers API.
  await using later = await pushContext(layer, { url: cloud.url });
  await withdrawManifest(later, 'signed', one.digest);
  await withdrawManifest(later, 'signed', one.digest);
  assert.equal(await digestAt(cloud.url, 'signed', one.digest), undefined);
  const list = await getManifest(cloud.url, 'signed', subject.digest.replace(':', '-'));
  const { manifests } = JSON.parse(list!.bytes.toString()) as { manifests: { digest: string }[] };
  assert.deepEqual(
    manifests.map(({ digest }) => digest),
    [two.digest],
  );
});

test('a placeholder depends only on its repository and its tag', async () => {
  assert.deepEqual(placeholder('a', 'v1'), placeholder('a', 'v1'));
  assert.notEqual(placeholder('a', 'v1').digest, placeholder('a', 'v2').digest);
  assert.notEqual(placeholder('a', 'v1').digest, placeholder('b', 'v1').digest);
});
