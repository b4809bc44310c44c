import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { missingBlobs } from '#proto/content/blobs.ts';
import { locateDelta, refuseDelta } from '#proto/content/deltas.ts';
import { startUpload } from '#proto/content/ingests.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { until } from '../../support/until.ts';
import { fault, Rig, random } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { absent, app, type DeltaSample, keepDelta, sampleDelta, sampleWithHeader } from './delta-rig.ts';

/** The budget of deltas, their leases, and what they give up for space. */

const buses = await sharedBuses();
const HOUR = 3_600_000;

/** A layer with a blob, and with deltas to it of these sizes. */
async function open(sizes: number[], data?: string) {
  const rig = await Rig.open(buses, data);
  rig.configure({ reserve: 0 });
  const [old, to] = [await rig.gateway.push(app, random(50)), await rig.gateway.push(app, random(60))];
  const keep = (size: number, more: Partial<DeltaSample> = {}) =>
    keepDelta(rig.syncer, { ...sampleDelta(to, [old], size), ...more });
  const digests: string[] = [];
  for (const size of sizes) {
    digests.push(await keep(size));
    rig.now += 1_000;
  }
  return { rig, old, to, digests, keep };
}

const counted = async (rig: Rig) => {
  const { deltas } = await rig.gateway.call(storageStatus, {});
  return deltas ?? { count: 0, bytes: 0, refused: 0 };
};
const untilCount = (rig: Rig, count: number) =>
  until(async () => (await counted(rig)).count === count, `${count} deltas are left`);
const missing = async (rig: Rig, digests: string[]) =>
  (await rig.gateway.call(missingBlobs, { digests })).digests;
const fileOf = (rig: Rig, digest: string) =>
  join(rig.data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));
const locate = (rig: Rig, digest: string) => rig.gateway.call(locateDelta, { repository: app, digest });

test('above the budget the deltas that were not used for the longest time are deleted, with their files', async () => {
  const { rig, digests, keep } = await open([100, 100, 100]);
  await using _ = rig;
  const [first, second, third] = digests as [string, string, string];
  rig.configure({ deltas: { isOff: false, maxBytes: 250 } });
  rig.now += HOUR;
  await locate(rig, first);
  const fourth = await keep(100);
  await untilCount(rig, 2);
  assert.deepEqual(await missing(rig, [first, second, third, fourth]), [second, third]);
  await assert.rejects(stat(fileOf(rig, second)), { code: 'ENOENT' });
  await assert.rejects(locate(rig, second), fault('blob-unknown'));
  assert.deepEqual(await counted(rig), { count: 2, bytes: 200, refused: 0 });
});

test('a delta that was made or used a short time ago stays above the budget', async () => {
  const { rig, digests, keep } = await open([100]);
  await using _ = rig;
  const [first] = digests as [string];
  rig.configure({ deltas: { isOff: false, maxBytes: 10 } });
  const second = await keep(100);
  assert.deepEqual(await missing(rig, [first, second]), []);
  rig.now += HOUR - 1_000;
  await locate(rig, first);
  const third = await keep(100);
  await untilCount(rig, 3);
  rig.now += 1_000;
  const fourth = await keep(100);
  await untilCount(rig, 3);
  assert.deepEqual(await missing(rig, [first, second, third, fourth]), [second]);
});

test('a smaller budget is in force at once', async () => {
  const { rig, digests } = await open([100, 100, 100]);
  await using _ = rig;
  rig.now += HOUR;
  rig.configure({ deltas: { isOff: false, maxBytes: 100 } });
  await untilCount(rig, 1);
  assert.deepEqual(await missing(rig, digests), digests.slice(0, 2));
});

test('without deltas in the configuration all of them are deleted, and refused pairs are forgotten', async () => {
  const { rig, old, to, digests } = await open([100, 100]);
  await using _ = rig;
  await rig.syncer.call(refuseDelta, { to, from: [old], format: DELTA_FORMAT, reason: 'poor' });
  rig.configure({ deltas: { isOff: true, maxBytes: 1_000 } });
  await until(
    async () => (await rig.gateway.call(storageStatus, {})).deltas === undefined,
    'all are deleted',
  );
  assert.deepEqual(await missing(rig, digests), digests);
  await rig.restart();
  assert.equal((await rig.gateway.call(storageStatus, {})).deltas, undefined);
});

test('content that a repository links stays when its delta is deleted', async () => {
  const { rig, digests } = await open([100]);
  await using _ = rig;
  const [digest] = digests as [string];
  const sample = sampleWithHeader(absent(), [absent()]);
  await rig.gateway.push(app, sample.bytes);
  await assert.rejects(keepDelta(rig.syncer, sample), fault('exists'));
  await untilCount(rig, 2);
  rig.configure({ deltas: { isOff: true, maxBytes: 0 } });
  await untilCount(rig, 0);
  assert.deepEqual(await missing(rig, [digest, sample.digest]), [digest]);
  assert.deepEqual(await rig.gateway.read(app, sample.digest), Buffer.from(sample.bytes));
});

test('the order of use outlives a restart, as an hour is coarse enough', async () => {
  const { rig, digests } = await open([100, 100, 100]);
  await using _ = rig;
  const [first, second, third] = digests as [string, string, string];
  rig.now += HOUR;
  await locate(rig, first);
  await rig.restart();
  rig.now += HOUR;
  rig.configure({ deltas: { isOff: false, maxBytes: 150 } });
  await untilCount(rig, 1);
  assert.deepEqual(await missing(rig, [first, second, third]), [second, third]);
});

test('deltas are the first content that a volume short of space gives up', async (t) => {
  await using volume = await smallVolume(64);
  if (!volume) return t.skip('needs the right to mount');
  const MiB = 1024 * 1024;
  const { rig, digests } = await open([4 * MiB, 4 * MiB, 4 * MiB], join(volume.path, 'data'));
  await using _ = rig;
  const [first, second, third] = digests as [string, string, string];
  await locate(rig, first);
  rig.configure({ reserve: 8 * MiB });
  const release = await volume.fill(7 * MiB);
  const upload = { repository: app, by: 'a', hold: true };
  await rig.gateway.call(startUpload, upload);
  assert.deepEqual(await missing(rig, [first, second, third]), [second], 'as many as are needed');
  await release();
  await volume.fill(2 * MiB);
  rig.configure({ reserve: 30 * MiB });
  await assert.rejects(rig.gateway.call(startUpload, upload), fault('no-space'));
  assert.equal((await counted(rig)).count, 0, 'all, and it was not enough');
});
