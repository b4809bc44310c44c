import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { endLinkPause, setLinkPause } from '#proto/sync/pause.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../../support/proxy/requests.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../../support/registry/image.ts';
import { slowedRate, until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';

/** Traffic on the wire while the link is paused. */

const MIB = 1024 * 1024;
/** Bytes that are in flight when a connection is closed are transferred again. */
const MAX_IN_FLIGHT_BYTES = 4 * 64 * 1024;
/** How long a paused link is watched for traffic, in ms. */
const QUIET_MS = 1_500;

let cloud: Cloud;
before(async () => {
  cloud = await startCloud();
});
after(() => cloud?.[Symbol.asyncDispose]());

const only = (name: string) => [{ name, referrers: true, priority: 0, conflict: 'parent-wins' as const }];
const operatorOf = (rig: SyncerRig): Promise<Bus> => rig.layer.testBus.connect('operator');

for (const direction of ['down', 'up'] as const) {
  test(`${direction}: a pause stops transfers, nothing is on the wire then, and they continue at the same byte`, async (t) => {
    const name = `paused-${direction}`;
    await using proxy = await startProxy(cloud.url, { bandwidth: { total: slowedRate(2 * MIB) } });
    if (direction === 'down') await pushImage(cloud.url, name, 'v1', { layers: [10 * MIB] });
    await using rig = await SyncerRig.start(proxy.url, { repositories: only(name) });
    if (direction === 'up') await pushImage(rig.layer.url, name, 'v1', { layers: [10 * MIB] });
    const operator = await operatorOf(rig);
    const blob = new RegExp(`/${name}/blobs/`);
    const moved = () =>
      proxy.bytesOf(blob) +
      proxy.requests.reduce((sum, { path, received }) => sum + (blob.test(path) ? received : 0), 0);
    await until(() => moved() > 1 * MIB, 'the first MiB has moved');

    await operator.call(setLinkPause, { reason: 'welding' });
    const { ok, failed } = await rig.finished(({ ended }) => ended === 'paused');
    assert.deepEqual([ok, failed], [false, 0]);
    await until(async () => (await proxy.connections()) === 0, 'no connection is open');
    const link = await rig.link();
    assert.deepEqual([link?.state, link?.code, link?.paused?.reason], ['Offline', 'paused', 'welding']);
    const [bytes, requests] = [moved(), proxy.requests.length];
    assert.ok(bytes < 10 * MIB, `${bytes} bytes`);
    await pushImage(rig.layer.url, name, 'own', { layers: [1_000] });
    for (const query of [{}, { now: true }, { full: true, now: true }]) {
      await assert.rejects(rig.requestPass(query), (error: unknown) => {
        assert.ok(Fault.is(error, 'paused'));
        assert.match(error.message, /paused by _operator since .*\(welding\): .* run terrace resume/);
        return true;
      });
    }
    await rig.configure({ repositories: only(name), connections: 5 });
    await rig.configure({ schedule: '0 0 1 1 *', repositories: only(name) });
    await sleep(QUIET_MS);
    assert.deepEqual([moved(), proxy.requests.length], [bytes, requests]);

    proxy.bandwidth = {};
    await operator.call(endLinkPause, {});
    await rig.finished((pass) => pass.ok && pass.taken + pass.sent > 0);
    await until(
      async () => (await firstDifference(cloud.url, rig.layer.url, [name])) === undefined,
      'both sides are equal',
    );
    const repeated = repeatedBytes(proxy.requests, blob);
    t.diagnostic(`${bytes} bytes before the pause, ${repeated} bytes came twice`);
    assert.ok(repeated <= MAX_IN_FLIGHT_BYTES, `${repeated} bytes came twice`);
    assert.equal((await rig.link())?.paused, undefined);
  });
}

test('a pause with an end is over by itself: a pass begins then', async () => {
  await pushImage(cloud.url, 'short', 'v1', { layers: [1_000] });
  await using proxy = await startProxy(cloud.url);
  await using rig = await SyncerRig.start(proxy.url, { schedule: '0 0 1 1 *', repositories: only('none') });
  await rig.finished(() => true);
  const operator = await operatorOf(rig);
  const { paused } = await operator.call(setLinkPause, { forMs: 1_500 });
  await until(async () => (await rig.link())?.paused !== undefined, 'the pause is in the state of the link');
  await rig.configure({ schedule: '0 0 1 1 *', repositories: only('short') });
  const { taken } = await rig.finished((result) => result.taken > 0);
  assert.equal(taken, 1);
  assert.ok(Date.now() >= (paused.until ?? Number.POSITIVE_INFINITY));
});
