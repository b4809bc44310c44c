import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Acr } from '../../support/azure/acr.ts';
import { Azure } from '../../support/azure/azure.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import {
  deleteManifest,
  getManifest,
  pushArtifact,
  pushImage,
  referrersOf,
  tagsOf,
} from '../../support/registry/image.ts';

/** The changes of a ReadWrite layer at an Azure Container Registry with permissions by repository. */

const stack = new AsyncDisposableStack();
let acr: Acr;
let layer: TestLayer;

before(async () => {
  const actions = ['pull', 'push', 'delete', 'metadata_read'];
  const azure = stack.use(
    await Azure.start({ abac: true }, { app: actions, other: actions, closed: ['pull'] }),
  );
  acr = azure.acr;
  await pushImage(acr.backendUrl, 'app', 'v1');
  layer = stack.use(
    await testLayer({
      name: 'top',
      mode: 'ReadWrite',
      parent: azure.parent('workload-identity'),
      repositories: ['app', 'other', 'closed'],
      compact: 'hosted',
    }),
  );
  await layer.sync();
});
after(() => stack.disposeAsync());

test('an image and its referrer are pushed, and the next pass finds no change', async () => {
  const image = await pushImage(layer.host, 'app', 'mine', { layers: [200_000] });
  const note = await pushArtifact(layer.host, 'app', { subject: image });
  assert.deepEqual((await layer.sync()).failures, []);
  assert.equal((await getManifest(acr.backendUrl, 'app', 'mine'))?.digest, image.digest);
  assert.deepEqual([...(await referrersOf(acr.backendUrl, 'app', image.digest))], [note.digest]);
  assert.deepEqual((await layer.sync()).failures, []);
  const { ok, taken, sent, dropped } = await layer.sync();
  assert.deepEqual([ok, taken, sent, dropped], [true, 0, 0, 0]);
  assert.deepEqual(await tagsOf(layer.host, 'app'), ['mine', 'v1']);
});

test('a tag that is deleted here is deleted at the registry, and its manifest stays there', async () => {
  const image = await pushImage(layer.host, 'other', 'v1');
  await pushImage(layer.host, 'other', 'v2');
  assert.deepEqual((await layer.sync()).failures, []);
  acr.clearRequests();
  await deleteManifest(layer.host, 'other', 'v1');
  assert.deepEqual((await layer.sync()).failures, []);
  assert.deepEqual(await tagsOf(acr.backendUrl, 'other'), ['v2']);
  assert.ok(acr.requestLines().includes('DELETE /acr/v1/other/_tags/v1'), acr.requestLines().join('\n'));
  assert.ok(await getManifest(acr.backendUrl, 'other', image.digest));
  await deleteManifest(layer.host, 'other', image.digest);
  assert.deepEqual((await layer.sync()).failures, []);
  assert.equal(await getManifest(acr.backendUrl, 'other', image.digest), undefined);
});

test('changes that are locked at the registry, or not permitted, are parked', async () => {
  acr.store.repositories.get('app')?.locked.add('v1');
  await deleteManifest(layer.host, 'app', 'v1');
  await pushImage(layer.host, 'closed', 'v1');
  const { parked, failures } = await layer.sync();
  assert.equal(parked, 2);
  const reasons = failures.map(({ repository, tag, reason }) => `${repository}:${tag} ${reason}`).join('\n');
  assert.match(reasons, /app:v1 .*405.*disallowed/);
  assert.match(reasons, /closed:v1 .*401/);
  assert.deepEqual(await tagsOf(acr.backendUrl, 'app'), ['mine', 'v1']);
});
