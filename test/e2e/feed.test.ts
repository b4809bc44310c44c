import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { ARRIVING_PATH } from '#proto/content/arriving.ts';
import { tagDeleted, tagMoved } from '#proto/content/content-events.ts';
import { reportPath } from '#proto/status/layers-below.ts';
import { LINK_KEY, linkChanged, linkStatus } from '#proto/status/status.ts';
import { CHANGES_PATH } from '#proto/sync/changes.ts';
import { passFinished } from '#proto/sync/passes.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { type FaultProxy, first, startProxy } from '../support/proxy/fault-proxy.ts';
import {
  deleteManifest,
  getManifest,
  pushArtifact,
  pushImage,
  referrersOf,
} from '../support/registry/image.ts';

/** top → middle → bottom: each layer reports changes to its child. Each test has a repository of its own. */

const stack = new AsyncDisposableStack();
let top: TestLayer;
let middle: TestLayer;
let bottom: TestLayer;
let link: FaultProxy;
const LIVE = '* * * * *';

before(async () => {
  top = stack.use(await testLayer({ name: 'top', mode: 'ReadWrite', compact: 'hosted' }));
  link = stack.use(await startProxy(top.url));
  for (const name of ['one', 'two', 'three']) await pushImage(top.host, 'old', name);
  middle = stack.use(
    await testLayer({
      name: 'middle',
      parent: link.url,
      mode: 'ReadWrite',
      schedule: LIVE,
      compact: 'hosted',
    }),
  );
  bottom = stack.use(
    await testLayer({ name: 'bottom', parent: middle.url, schedule: LIVE, compact: 'hosted' }),
  );
  for (const layer of [middle, bottom]) assert.deepEqual((await layer.sync()).failures, []);
});
after(() => stack.disposeAsync());
beforeEach(() => {
  link.fault();
  link.clearRequests();
});

/** Requests of the middle, without long polls for changes, prefetches and reports. */
const requests = () =>
  link.requests
    .filter(({ path, query }) => path !== CHANGES_PATH || query.get('wait') === '0')
    .filter(({ path }) => path !== reportPath('middle') && !path.startsWith(ARRIVING_PATH))
    .map(({ method, path }) => `${method} ${path}`);

const arrives = (layer: TestLayer, repository: string, tag: string, digest: string) =>
  layer.event(
    tagMoved,
    (moved) => moved.repository === repository && moved.tag === tag && moved.digest === digest,
  );

test('a pass without changes is one request', async () => {
  const { ok } = await middle.sync();
  assert.ok(ok);
  assert.deepEqual(requests(), [`GET ${CHANGES_PATH}`]);
});

test('a tag that moves at the top moves at the bottom without a request for a pass, a list or a HEAD', async () => {
  const one = await pushImage(top.host, 'moves', 'v1', { layers: [{ seed: 'moves-1', size: 5_000 }] });
  await arrives(bottom, 'moves', 'v1', one.digest);
  assert.ok(
    !requests().some((request) => /\/(tags\/list|_catalog|old\/)/.test(request)),
    requests().join('\n'),
  );
  assert.ok(!requests().some((request) => request.startsWith('HEAD')), requests().join('\n'));
  const two = await pushImage(top.host, 'moves', 'v1', { layers: [{ seed: 'moves-2', size: 5_000 }] });
  await arrives(bottom, 'moves', 'v1', two.digest);
});

test('the deletion of a tag, a referrer and the deletion of a referrer reach the bottom', async () => {
  const image = await pushImage(top.host, 'referred', 'v1');
  const other = await pushImage(top.host, 'referred', 'v2', { layers: [2_000] });
  for (const { digest, tag } of [
    { digest: image.digest, tag: 'v1' },
    { digest: other.digest, tag: 'v2' },
  ]) {
    await arrives(bottom, 'referred', tag, digest);
  }
  const list = async () => [...(await referrersOf(bottom.host, 'referred', image.digest))];
  const note = await pushArtifact(top.host, 'referred', { subject: image });
  const syncs = async (layer: TestLayer) => assert.deepEqual((await layer.sync()).failures, []);
  for (const layer of [middle, bottom]) await syncs(layer);
  assert.deepEqual(await list(), [note.digest]);
  await deleteManifest(top.host, 'referred', note.digest);
  for (const layer of [middle, bottom]) await syncs(layer);
  assert.deepEqual(await list(), []);
  await deleteManifest(top.host, 'referred', other.digest);
  await bottom.event(tagDeleted, ({ repository, tag }) => repository === 'referred' && tag === 'v2');
  assert.ok(await getManifest(bottom.host, 'referred', 'v1'));
});

test('an image pushed to the middle reaches the top and the bottom, and is no change for the middle', async () => {
  const image = await pushImage(middle.host, 'own', 'v1');
  await arrives(top, 'own', 'v1', image.digest);
  await arrives(bottom, 'own', 'v1', image.digest);
  const { ok, taken, sent } = await middle.sync();
  assert.deepEqual([ok, taken, sent], [true, 0, 0]);
  assert.equal((await getManifest(middle.host, 'own', 'v1'))?.digest, image.digest);
});

test('content that a pass failed to take is tried again, although the feed does not report it again', async () => {
  link.fault(first(100, /\/retried\/manifests\//, { answer: { status: 404 } }));
  await pushImage(top.host, 'retried', 'v1');
  await middle.event(passFinished, ({ failures }) =>
    failures.some(({ repository }) => repository === 'retried'),
  );
  link.fault();
  assert.deepEqual((await middle.sync()).failures, []);
  assert.ok(await getManifest(middle.host, 'retried', 'v1'));
});

test('after a restart of both sides, the feed continues at the cursor and reports what changed meanwhile', async () => {
  await middle.sync();
  await middle.stop();
  const image = await pushImage(top.host, 'meanwhile', 'v1');
  await top.restart();
  link.clearRequests();
  await middle.start();
  await middle.sync();
  assert.equal((await getManifest(middle.host, 'meanwhile', 'v1'))?.digest, image.digest);
  assert.ok(!requests().some((request) => /\/(tags\/list|_catalog)/.test(request)), requests().join('\n'));
});

test('a link that fails is reported at once, and so is its recovery', async () => {
  await middle.sync();
  await link.down();
  await middle.event(linkChanged, ({ state }) => state === 'Offline', 15_000);
  assert.ok((await middle.bus().get(linkStatus, LINK_KEY))?.value.detail?.includes(CHANGES_PATH));
  const image = await pushImage(top.host, 'behind-a-cut', 'v1');
  await link.up();
  await arrives(middle, 'behind-a-cut', 'v1', image.digest);
  await middle.event(linkChanged, ({ from, state }) => from !== undefined && state === 'Online');
});

test('a cursor that is unknown to the parent leads to a complete comparison', async () => {
  await middle.sync();
  link.clearRequests();
  link.fault(({ path, query }) =>
    path === CHANGES_PATH && query.get('wait') === '0' && query.has('after')
      ? {
          answer: {
            status: 200,
            body: JSON.stringify({ cursor: '999999.00', lost: true, changes: [], more: false }),
          },
        }
      : undefined,
  );
  assert.ok((await middle.sync()).ok);
  link.fault();
  assert.ok(requests().includes('GET /v2/old/tags/list'));
  // The parent does not know the faked cursor either: one more complete comparison, then one request again.
  assert.ok((await middle.sync()).ok);
  link.clearRequests();
  assert.ok((await middle.sync()).ok);
  assert.deepEqual(requests(), [`GET ${CHANGES_PATH}`]);
});
