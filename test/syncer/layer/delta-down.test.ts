import assert from 'node:assert/strict';
import { readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { listDeltas } from '#proto/content/deltas.ts';
import { CHANGES_PATH } from '#proto/sync/changes.ts';
import { DELTAS_PATH } from '#proto/sync/delta-exchange.ts';
import { deltaApplied, deltaMade } from '#proto/sync/delta-jobs.ts';
import { endLinkPause, setLinkPause } from '#proto/sync/pause.ts';
import { transferFinished, transferPaused, transferProgressed } from '#proto/sync/transfers.ts';
import {
  ALWAYS,
  completePass,
  deltaOf,
  resetLink,
  startDeltaLayers,
  updatedImage,
} from '../../support/delta-layers.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../../support/proxy/requests.ts';
import { digestOf, firstDifference, pushImage, pushIndex } from '../../support/registry/image.ts';
import { gzipLayer, rawLayer } from '../../support/registry/versions.ts';
import { slowedRate, until } from '../../support/until.ts';

/** Updates that cross the link as deltas, on the way down, between two real layers, and what may go wrong. */

const MIB = 1024 * 1024;
const DELTA = new RegExp(`^${DELTAS_PATH}/sha256:`);

const stack = new AsyncDisposableStack();
let parent: TestLayer;
let link: FaultProxy;
let child: TestLayer;

before(async () => {
  ({ parent, link, child } = await startDeltaLayers(stack));
});
after(() => stack.disposeAsync());
beforeEach(() => resetLink(link));

/** Pulls version 1 of an image, and pushes version 2 of it to the parent. @returns its changed layer */
const updated = (repository: string, layerOf?: (version: number) => Buffer) =>
  updatedImage({ parent, link, child }, parent, repository, layerOf);

const pull = (layer = child) => completePass(layer);

async function assertSame(repository: string, layer = child): Promise<void> {
  assert.equal(await firstDifference(parent.host, layer.host, [repository]), undefined);
}

const deltaBytes = () => link.bytesOf(DELTA);
const plainBytes = (digest: string) => link.bytesOf(new RegExp(`/blobs/${digest}$`));
const questions = () => link.requests.filter(({ path, method }) => method === 'POST' && path === DELTAS_PATH);
const ingests = () => readdir(join(child.data, 'ingest'));
const finishedOf = (digest: string) => child.event(transferFinished, (data) => data.digest === digest);

const deltaTo = (digest: string) => deltaOf(parent, digest);

test('an update crosses the link as a delta, for one question, and the delta is kept for the layers below', async () => {
  const { digest, size } = await updated('update');
  await pull();
  await assertSame('update');
  const delta = await deltaTo(digest);
  assert.ok(delta && delta.size < size / 10);
  assert.equal(deltaBytes(), delta.size);
  assert.equal(plainBytes(digest), 0);
  const finished = await finishedOf(digest);
  assert.deepEqual(finished.delta, { digest: delta.digest, size: delta.size });
  assert.equal(finished.saved?.bytes, size - delta.size);
  const kept = await child.bus().call(listDeltas, { to: [digest] });
  assert.deepEqual(
    kept.deltas.map((one) => one.digest),
    [delta.digest],
  );
  assert.ok(questions().length <= 3, 'one question, and one for each wait');
});

test('a new tag is compared with the tags next to it, and each platform with the same one', async () => {
  const platforms = ['amd64', 'arm64'].map((architecture) => ({ os: 'linux', architecture }));
  const push = async (tag: string, version: number) => {
    const children = [];
    for (const platform of platforms) {
      const layer = gzipLayer(version, { seed: platform.architecture });
      const image = await pushImage(parent.host, 'multi', undefined, { layers: [layer], platform });
      children.push({ ...image, platform });
    }
    await pushIndex(parent.host, 'multi', tag, children as never);
    return children.map(({ layers }) => layers[0]!.digest);
  };
  const before = await push('1.9.0', 1);
  await pull();
  link.clearRequests();
  const digests = await push('1.10.0', 2);
  await pull();
  await assertSame('multi');
  for (const [at, digest] of digests.entries()) {
    assert.equal(plainBytes(digest), 0);
    const applied = await child.event(deltaApplied, ({ to }) => to === digest);
    assert.deepEqual(applied.from, [before[at]]);
  }
});

test('a small change of an image asks nothing, and neither does a layer whose mode is off', async () => {
  await updated('small', (version) => Buffer.from(`small ${version}`));
  await pull();
  assert.deepEqual(questions(), []);
  await using off = await testLayer({ parent: link.url, compact: 'hosted', delta: { mode: 'off' } });
  await pushImage(parent.host, 'off', 'v1', { layers: [gzipLayer(1, { seed: 'off' })] });
  await pull(off);
  await pushImage(parent.host, 'off', 'v1', { layers: [gzipLayer(2, { seed: 'off' })] });
  await pull(off);
  await assertSame('off', off);
  assert.deepEqual(questions(), []);
});

test('a parent of an earlier version, which announces no deltas, gets no further request', async () => {
  await using old = await testLayer({ name: 'old', compact: 'hosted', delta: { mode: 'off' } });
  await using front = await startProxy(old.url);
  await using layer = await testLayer({ parent: front.url, compact: 'hosted', delta: ALWAYS });
  for (const version of [1, 2]) {
    await pushImage(old.host, 'app', 'v1', { layers: [gzipLayer(version)] });
    await pull(layer);
  }
  assert.equal(await firstDifference(old.host, layer.host, ['app']), undefined);
  const paths = new Set(front.requests.map(({ path }) => path).filter((path) => path.includes('/_terrace/')));
  assert.ok(
    [...paths].every((path) => path === CHANGES_PATH || !path.startsWith(DELTAS_PATH)),
    [...paths].join(),
  );
});

test('a delta that the parent no longer has is replaced by the blob itself, in the same pass', async () => {
  const { digest, size } = await updated('evicted');
  link.fault(({ path }) => (DELTA.test(path) ? { answer: { status: 404 } } : undefined));
  await pull();
  await assertSame('evicted');
  assert.equal(plainBytes(digest), size);
  assert.equal((await finishedOf(digest)).delta, undefined);
  assert.deepEqual(await ingests(), []);
});

test('a base that is damaged here is no obstacle: the blob itself crosses the link', async () => {
  const { digest, size } = await updated('damaged');
  const [hex] = digestOf(gzipLayer(1, { seed: 'damaged' }))
    .split(':')
    .slice(1);
  const files = await readdir(join(child.data, 'blobs'), { recursive: true, withFileTypes: true });
  const base = files.find((entry) => entry.isFile() && entry.name.includes(hex as string));
  await truncate(join(base!.parentPath, base!.name), size - 5_000);
  await pull();
  assert.equal(plainBytes(digest), size);
  assert.equal((await finishedOf(digest)).delta, undefined);
  assert.deepEqual(await ingests(), []);
});

test('a link that breaks while the delta crosses it carries no byte twice', async () => {
  const { digest } = await updated('cut', (version) => rawLayer(version, 16 * MIB));
  await deltaIsMade(digest);
  link.fault(({ path, index }) => (DELTA.test(path) && index < 2 ? { cutAfter: 200_000 } : undefined));
  await pull();
  await assertSame('cut');
  assert.equal(plainBytes(digest), 0);
  assert.ok(repeatedBytes(link.requests, DELTA) <= 64 * 1024);
});

/** The question has been asked, and the delta is there. */
async function deltaIsMade(digest: string): Promise<void> {
  const pass = child.sync();
  await parent.event(deltaMade, ({ to }) => to === digest);
  await pass;
}

test('after a kill of the syncer while the delta crosses the link, and while it is applied, no byte comes again', async () => {
  const { digest } = await updated('killed', (version) => rawLayer(version, 32 * MIB, { seed: 'killed' }));
  link.bandwidth = { total: slowedRate(2 * MIB) };
  const pass = child.sync();
  pass.catch(() => {});
  await link.until((proxy) => proxy.bytesOf(DELTA) > 300_000);
  await child.kill('syncer-1');
  await link.until((proxy) => proxy.bytesOf(DELTA) > 1_000_000);
  link.bandwidth = {};
  const own = (data: { digest: string; delta?: { size: number } | undefined }) => data.digest === digest;
  await child.event(transferProgressed, (data) => own(data) && data.done === data.delta?.size);
  await child.kill('syncer-1');
  await pass.catch(() => {});
  for (let tries = 0; tries < 5; tries += 1) if ((await child.sync()).ok) break;
  await assertSame('killed');
  assert.equal(plainBytes(digest), 0);
  const delta = await deltaTo(digest);
  assert.ok(deltaBytes() <= (delta?.size ?? 0) + 2 * MIB, `${deltaBytes()} of ${delta?.size}`);
  assert.ok(repeatedBytes(link.requests, DELTA) <= 2 * MIB);
  assert.deepEqual(await ingests(), []);
});

test('a link that is paused while the delta crosses it continues where it was', async () => {
  const { digest } = await updated('paused', (version) => rawLayer(version, 16 * MIB, { seed: 'paused' }));
  link.bandwidth = { total: slowedRate(MIB) };
  const pass = child.sync().catch(() => {});
  await link.until((proxy) => proxy.bytesOf(DELTA) > 300_000);
  await child.bus().call(setLinkPause, {});
  await child.event(transferPaused, (data) => data.digest === digest && data.delta !== undefined);
  await pass;
  link.bandwidth = {};
  await child.bus().call(endLinkPause, {});
  // A pass begins by itself.
  await child.event(transferFinished, (data) => data.digest === digest);
  const difference = () => firstDifference(parent.host, child.host, ['paused']);
  await until(async () => (await difference()) === undefined, 'both sides are equal');
  assert.equal(plainBytes(digest), 0);
  assert.ok(repeatedBytes(link.requests, DELTA) <= MIB);
});
