import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { transferFailed } from '#proto/sync/transfers.ts';
import { pushTree } from '../../../../services/syncer/reconcile/push/push-tree.ts';
import type { Action } from '../../../support/proxy/fault-proxy.ts';
import { firstDifference, pushImage } from '../../../support/registry/image.ts';
import { pushNewTag } from '../../../support/sender.ts';
import { slowedRate } from '../../../support/until.ts';
import { PushRig } from './push-rig.ts';

const MIB = 1024 * 1024;

let rig: PushRig;
before(async () => {
  rig = await PushRig.start();
});
after(() => rig?.[Symbol.asyncDispose]());

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
    rig.resetProxy();
    const repository = `passing/${index}`;
    const { digest } = await pushImage(rig.layer.url, repository, 'v1', { layers: [6 * MIB] });
    let left = 1;
    rig.proxy.fault((seen) => {
      const hit = seen.method === method && path.test(seen.path) && seen.path.includes(repository);
      if (!hit || left === 0) return undefined;
      left -= 1;
      return action;
    });
    await using up = await rig.context();
    await pushNewTag(up, repository, digest, 'v1');
    assert.equal(left, 0);
    assert.equal(await firstDifference(rig.layer.url, rig.cloud.url, [repository]), undefined);
  });
}

test('a token that expires during an upload is renewed', async () => {
  rig.resetProxy();
  const { digest } = await pushImage(rig.layer.url, 'tokens', 'v1', { layers: [10 * MIB] });
  rig.proxy.fault(({ method, path, index }) => {
    if (method === 'PATCH' && path.includes('tokens') && index === 1) rig.proxy.expireTokens();
    return undefined;
  });
  await using up = await rig.context();
  await pushNewTag(up, 'tokens', digest, 'v1');
  rig.proxy.fault();
  assert.equal(await firstDifference(rig.layer.url, rig.cloud.url, ['tokens']), undefined);
  assert.ok(rig.proxy.requests.some(({ method, status }) => method === 'PATCH' && status === 401));
});

test('an upload continues after an outage between two pieces, and restarts after a torn piece', async () => {
  const SIZE = 10 * MIB;
  rig.resetProxy();
  const paused = await pushImage(rig.layer.url, 'paused', 'v1', { layers: [SIZE] });
  const torn = await pushImage(rig.layer.url, 'torn', 'v1', { layers: [SIZE + 1] });
  const bytes = (repository: string) =>
    rig.contentRequests(repository).reduce((sum, { received }) => sum + received, 0);
  await using up = await rig.context();
  rig.proxy.fault(({ method, index, path }) =>
    method === 'PATCH' && path.includes('/paused/') && index === 1 ? { drop: true } : undefined,
  );
  await pushNewTag(up, 'paused', paused.digest, 'v1');
  assert.equal(await firstDifference(rig.layer.url, rig.cloud.url, ['paused']), undefined);
  assert.ok(rig.contentRequests('paused').some(({ method, index }) => method === 'PATCH' && index === 1));
  assert.ok(bytes('paused') < SIZE + MIB, `${bytes('paused')} bytes`);

  rig.proxy.fault();
  rig.proxy.bandwidth = { total: slowedRate(8 * MIB) };
  const sending = pushNewTag(up, 'torn', torn.digest, 'v1');
  await rig.proxy.until(() => bytes('torn') >= 6 * MIB);
  await rig.proxy.down();
  await rig.proxy.up();
  rig.proxy.bandwidth = {};
  await sending;
  assert.equal(await firstDifference(rig.layer.url, rig.cloud.url, ['torn']), undefined);
  const started = rig.proxy.requests.filter(
    ({ method, path, status }) => method === 'POST' && path === '/v2/torn/blobs/uploads/' && status === 202,
  );
  assert.ok(started.length >= 3, 'config, layer, and the layer again');
});

test('a syncer that is stopped during an upload tears no piece', async () => {
  const SIZE = 14 * MIB;
  rig.resetProxy();
  const { digest } = await pushImage(rig.layer.url, 'ended', 'v1', { layers: [SIZE] });
  const bytes = () => rig.contentRequests('ended').reduce((sum, { received }) => sum + received, 0);
  rig.proxy.bandwidth = { total: slowedRate(6 * MIB) };
  await using up = await rig.context();
  const sending = pushNewTag(up, 'ended', digest, 'v1');
  await rig.proxy.until(() => bytes() >= 5 * MIB);
  process.kill(rig.layer.pid('syncer-1'), 'SIGTERM');
  await sending;
  rig.proxy.bandwidth = {};
  assert.equal(await firstDifference(rig.layer.url, rig.cloud.url, ['ended']), undefined);
  assert.ok(bytes() < SIZE + MIB, `${bytes()} bytes`);
});

test('a refusal of the parent is reported with its status', async () => {
  rig.resetProxy();
  const { digest, layers } = await pushImage(rig.layer.url, 'refused', 'v1', { layers: [2 * MIB] });
  rig.proxy.fault(({ method, path }) =>
    method !== 'POST' && path.startsWith('/v2/refused/blobs/uploads/')
      ? { answer: { status: 413, body: '<h1>Too large</h1>' } }
      : undefined,
  );
  await using up = await rig.context();
  const refusal = { code: 'parent-refused', detail: { status: 413 } };
  await assert.rejects(pushTree(up, 'refused', digest), refusal);
  const failed = await rig.layer.event(transferFailed, (data) => data.digest === layers[0]!.digest);
  assert.equal(failed.status, 413);

  rig.proxy.fault(({ method, path }) =>
    method === 'PUT' && path.startsWith('/v2/denied/manifests/')
      ? { answer: { status: 403, body: '{"errors":[{"code":"DENIED","message":"no"}]}' } }
      : undefined,
  );
  const denied = await pushImage(rig.layer.url, 'denied', 'v1', { layers: [1_000] });
  await assert.rejects(pushTree(up, 'denied', denied.digest), {
    code: 'parent-refused',
    detail: { status: 403, reason: 'DENIED' },
  });
});

test('a blob that the parent falsely claims to have is pushed once it refuses the manifest', async () => {
  rig.resetProxy();
  const { digest, layers } = await pushImage(rig.layer.url, 'phantom', 'v1', { layers: [70_000] });
  const blob = `/v2/phantom/blobs/${layers[0]!.digest}`;
  rig.proxy.fault(({ method, path }) =>
    method === 'HEAD' && path === blob ? { answer: { status: 200 } } : undefined,
  );
  await using up = await rig.context();
  await pushNewTag(up, 'phantom', digest, 'v1');
  rig.proxy.fault();
  assert.equal(await firstDifference(rig.layer.url, rig.cloud.url, ['phantom']), undefined);
});
