import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { listDeltas } from '#proto/content/deltas.ts';
import { DELTAS_PATH } from '#proto/sync/delta-exchange.ts';
import { deltaApplied, deltaOffered } from '#proto/sync/delta-jobs.ts';
import { transferFinished } from '#proto/sync/transfers.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../../support/proxy/requests.ts';
import { firstDifference, pushImage } from '../../support/registry/image.ts';
import { rawLayer } from '../../support/registry/versions.ts';
import { slowedRate } from '../../support/until.ts';

/** With `delta.mode: auto`, updates cross the link as deltas where that saves time, also if little was known before. */

const MIB = 1024 * 1024;
const DELTA = new RegExp(`^${DELTAS_PATH}/sha256:`);

const stack = new AsyncDisposableStack();
let parent: TestLayer;
let link: FaultProxy;

before(async () => {
  parent = stack.use(await testLayer({ name: 'parent' }));
  link = stack.use(await startProxy(parent.url));
});
after(() => stack.disposeAsync());
beforeEach(() => {
  link.fault();
  link.bandwidth = {};
  link.clearRequests();
});

/** Pulls version 1 of an image into a new layer, and pushes version 2 to the parent. @returns its changed layer */
async function updated(repository: string, size: number, child: TestLayer): Promise<string> {
  const layerOf = (version: number) => rawLayer(version, size, { seed: repository });
  await pushImage(parent.host, repository, 'v1', { layers: [layerOf(1)] });
  assert.deepEqual((await child.sync()).failures, []);
  link.clearRequests();
  const image = await pushImage(parent.host, repository, 'v1', { layers: [layerOf(2)] });
  return image.layers[0]!.digest;
}

const newLayer = (repository: string) =>
  testLayer({ name: repository, parent: link.url, compact: 'hosted', repositories: [repository] });

/** Bytes that crossed the link: in full, and as a delta. */
const crossed = (digest: string) => ({
  full: link.bytesOf(new RegExp(`/blobs/${digest}$`)),
  delta: link.bytesOf(DELTA),
});

async function assertExchanged(child: TestLayer, repository: string, digest: string, maxFull: number) {
  assert.equal(await firstDifference(parent.host, child.host, [repository]), undefined);
  const { full, delta } = crossed(digest);
  const { deltas } = await parent.bus().call(listDeltas, { to: [digest] });
  assert.ok(full < maxFull, `${full} bytes crossed in full`);
  assert.equal(delta, deltas[0]?.size);
  assert.equal(repeatedBytes(link.requests, /sha256:/), 0);
  await child.event(deltaApplied, ({ to }) => to === digest);
  const finished = await child.event(transferFinished, (data) => data.digest === digest);
  assert.equal(finished.saved?.by, 'delta');
}

test('the first update of a new layer, whose link is unknown, continues as a delta once the link has proved slow', async () => {
  // So little that the rate of the link is not measured.
  const size = 1_000_000;
  await using child = await newLayer('first');
  const digest = await updated('first', size, child);
  link.bandwidth = { total: slowedRate(25_000) };
  assert.deepEqual((await child.sync()).failures, []);
  await child.event(deltaOffered, ({ to }) => to === digest);
  await assertExchanged(child, 'first', digest, 0.7 * size);
});

test('a link that was fast and is slow now is noticed during the transfer, which continues as a delta', async () => {
  const size = 8 * MIB;
  await using child = await newLayer('slower');
  const digest = await updated('slower', size, child);
  link.bandwidth = { total: slowedRate(300_000) };
  assert.deepEqual((await child.sync()).failures, []);
  await child.event(deltaOffered, ({ to }) => to === digest);
  await assertExchanged(child, 'slower', digest, 0.7 * size);
});

test('on a fast link, content comes in full, without a question', async () => {
  const size = 8 * MIB;
  await using child = await newLayer('fast');
  const digest = await updated('fast', size, child);
  assert.deepEqual((await child.sync()).failures, []);
  assert.deepEqual(crossed(digest), { full: size, delta: 0 });
  assert.ok(link.requests.every(({ path }) => path !== DELTAS_PATH));
});

test('a kill of the syncer that makes the delta, and of the gateway that was asked, does not bring the blob in full', async () => {
  const size = 16 * MIB;
  await using child = await newLayer('killed');
  const digest = await updated('killed', size, child);
  link.bandwidth = { total: slowedRate(400_000) };
  const pass = child.sync();
  await link.until(({ requests }) => requests.some(({ path }) => path === DELTAS_PATH));
  await Promise.all([parent.kill('syncer-1'), parent.kill('gateway')]);
  assert.deepEqual((await pass).failures, []);
  await assertExchanged(child, 'killed', digest, 0.8 * size);
});
