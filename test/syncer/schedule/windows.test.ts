import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '#proto/contract/fault.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../../support/proxy/requests.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../../support/registry/image.ts';
import { patience, slowedRate, until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';

/** Traffic on the wire when a window closes, and while it is closed. */
const MIB = 1024 * 1024;
const MINUTE = 60_000;
/** How long a closed link is watched for traffic, in ms. */
const QUIET_MS = 1_500;
/** Time until a window closes during transfers: long enough for a slow machine to start them, in ms. */
const WINDOW_MS = patience(2_000);
const CLOSED = { schedule: '0 0 1 1 *', windowMs: MINUTE };

let cloud: Cloud;
before(async () => {
  cloud = await startCloud();
});
after(() => cloud?.[Symbol.asyncDispose]());

/** A window that opened at the beginning of this minute, closes `ms` after now, and opens again in a year. */
function closingIn(ms: number) {
  const now = new Date();
  const opened = Math.floor(now.getTime() / MINUTE) * MINUTE;
  const schedule = `${now.getUTCMinutes()} ${now.getUTCHours()} ${now.getUTCDate()} ${now.getUTCMonth() + 1} *`;
  return { schedule, windowMs: now.getTime() + ms - opened, closes: now.getTime() + ms };
}

test('after a window closed during transfers, nothing is on the wire, and a pass with --now pulls the rest', async () => {
  const layers = Array.from({ length: 12 }, (_, index) => MIB + index);
  await pushImage(cloud.url, 'closing', 'v1', { layers });
  const blob = /\/closing\/blobs\//;
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: (8 * MIB) / (WINDOW_MS / 1_000) } });
  await using rig = await SyncerRig.start(proxy.url, { ...CLOSED, repositories: only('closing') });
  await until(async () => (await rig.link()) !== undefined);
  const { closes, ...times } = closingIn(WINDOW_MS);
  await rig.configure({ ...times, repositories: only('closing') });
  const { ended } = await rig.finished(({ ended }) => ended !== undefined);
  assert.equal(ended, 'window');
  assert.ok(Date.now() >= closes, `${closes - Date.now()} ms before the end`);
  assert.equal(rig.activeSyncers.size, 2);
  await until(async () => (await proxy.connections()) === 0);
  const [requests, bytes] = [proxy.requests.length, proxy.bytesOf(blob)];
  assert.ok(bytes > 1 * MIB && bytes < 12 * MIB, `${bytes} bytes`);

  const link = await rig.link();
  assert.equal(link?.state, 'Online');
  assert.equal(link?.window?.open, false);
  assert.ok((link?.window?.until ?? 0) > closes + 300 * 24 * 60 * MINUTE);
  await assert.rejects(rig.requestPass({}), (error: unknown) => {
    assert.ok(Fault.is(error, 'window-closed'));
    assert.match(error.message, /until \d{4}-.*--now/);
    return true;
  });
  await pushImage(rig.layer.url, 'closing', 'own', { layers: [1_000] });
  await sleep(QUIET_MS);
  assert.equal(proxy.requests.length, requests);
  assert.equal(proxy.bytesOf(blob), bytes);
  assert.equal(await proxy.connections(), 0);

  proxy.bandwidth = {};
  const { pass } = await rig.requestPass({ now: true });
  const result = await rig.finished((finished) => finished.pass === pass);
  assert.deepEqual(result.failures, []);
  assert.equal(await firstDifference(cloud.url, rig.layer.url, ['closing']), undefined);
  assert.ok(repeatedBytes(proxy.requests, blob) < 1 * MIB);
  await until(async () => (await proxy.connections()) === 0);
});

test('a coordinator that starts in a closed window runs no pass until a configuration permits one', async () => {
  await pushImage(cloud.url, 'idle', 'v1', { layers: [1_000] });
  await using proxy = await startProxy(cloud.url);
  await using rig = await SyncerRig.start(proxy.url, { ...CLOSED, repositories: only('idle') });
  await until(async () => (await rig.link()) !== undefined);
  assert.equal((await rig.link())?.state, 'Offline');
  await pushImage(rig.layer.url, 'idle', 'own', { layers: [1_000] });
  await sleep(QUIET_MS);
  assert.equal(proxy.requests.length, 0);
  await rig.configure({ schedule: '0 0 1 1 *', repositories: only('idle') });
  assert.deepEqual((await rig.finished(() => true)).failures, []);
  assert.ok(proxy.requests.length > 0);
  assert.equal((await rig.link())?.state, 'Online');
  assert.equal((await rig.link())?.window, undefined);
});

test('a configuration that closes the window ends the pass and its transfers at once', async () => {
  const { layers } = await pushImage(cloud.url, 'shut', 'v1', { layers: [12 * MIB] });
  const blob = new RegExp(`/blobs/${layers[0]!.digest}$`);
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: slowedRate(2 * MIB) } });
  await using rig = await SyncerRig.start(proxy.url, { repositories: only('shut') });
  await proxy.until(() => proxy.bytesOf(blob) > 1 * MIB);
  await rig.configure({ ...CLOSED, repositories: only('shut') });
  const { ended } = await rig.finished(() => true);
  assert.equal(ended, 'configuration');
  await until(async () => (await proxy.connections()) === 0);
  const bytes = proxy.bytesOf(blob);
  await sleep(QUIET_MS);
  assert.equal(proxy.bytesOf(blob), bytes);
  assert.equal((await rig.link())?.state, 'Online');
});

const only = (name: string) => [{ name, referrers: true, priority: 0, conflict: 'parent-wins' as const }];
