import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { linkBlobs, missingBlobs, unlinkBlob } from '#proto/content/blobs.ts';
import { findDeltas, locateDelta, refuseDelta } from '#proto/content/deltas.ts';
import { claimTransfer } from '#proto/content/ingests.ts';
import { listDamaged } from '#proto/content/maintenance.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { getSession, storeSession } from '#proto/sync/outgoing.ts';
import { restoreBackup } from '../../../services/storage/backup/restore/restore.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { sharedFolder } from '../../support/shared-folder.ts';
import { repair } from '../repair/repair-rig.ts';
import { descriptorOf, digestOf, fault, imageOf, Rig, random } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { absent, app, keepDelta, sampleDelta, sampleWithHeader, transferDelta } from './delta-rig.ts';

/** Deltas in garbage collection, scrub, backup, repair, and after an earlier version. */

const buses = await sharedBuses();
const root = sharedFolder('deltas');
const HOUR = 3_600_000;
const nothing = { links: 0, blobs: 0, bytes: 0, ingests: 0, repositories: 0, strays: 0 };

/** A layer with an image, whose layer `to` has a delta of 100 bytes. */
async function open() {
  const rig = await Rig.open(buses);
  const old = await rig.gateway.push(app, random(50));
  const layer = random(60);
  const to = await rig.gateway.push(app, layer);
  const image = imageOf('', { layers: [descriptorOf(layer)] });
  await rig.gateway.push(app, new TextEncoder().encode('{}'));
  await rig.gateway.pushManifest(app, image, { tag: 'v1' });
  const sample = sampleDelta(to, [old]);
  const digest = await keepDelta(rig.syncer, sample);
  return { rig, old, to, sample, digest };
}

async function collect(rig: Rig, dryRun = false) {
  const { dryRun: _, ms: __, ...found } = await rig.storage.garbage.collect(dryRun);
  return found;
}
const missing = async (rig: Rig, digests: string[]) =>
  (await rig.gateway.call(missingBlobs, { digests })).digests;
const fileOf = (rig: Rig, digest: string) =>
  join(rig.data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));
const counted = async (rig: Rig) => (await rig.gateway.call(storageStatus, {})).deltas;
const locate = (rig: Rig, digest: string) => rig.gateway.call(locateDelta, { repository: app, digest });

async function damage(rig: Rig, digest: string): Promise<void> {
  await chmod(fileOf(rig, digest), 0o600);
  await writeFile(fileOf(rig, digest), 'damaged');
}

test('garbage collection leaves a delta, also without its base, and says why', async () => {
  const { rig, old, digest } = await open();
  await using _ = rig;
  rig.now += HOUR;
  const before = await rig.storage.garbage.collect(true, { explain: true });
  assert.deepEqual(
    before.held?.find(({ reason }) => reason === 'delta'),
    { reason: 'delta', count: 1, bytes: 100 },
  );
  assert.deepEqual(await collect(rig), { ...nothing, links: 1, blobs: 1, bytes: 50 });
  assert.deepEqual(await missing(rig, [old]), [old]);
  assert.equal((await locate(rig, digest)).incomplete, false);
});

test('garbage collection forgets uploads of deltas that are not here any more, and no others', async () => {
  const { rig, to, digest } = await open();
  await using _ = rig;
  const { syncer } = rig;
  const other = digestOf(random(3));
  for (const one of [to, digest, other])
    await syncer.call(storeSession, { repository: app, digest: one, location: '/v2/x' });
  const known = async () => {
    const sessions = [to, digest, other].map((one) =>
      syncer.call(getSession, { repository: app, digest: one }),
    );
    return (await Promise.all(sessions)).map(({ location }) => location !== undefined);
  };
  await collect(rig, true);
  assert.deepEqual(await known(), [true, true, true]);
  await collect(rig);
  assert.deepEqual(await known(), [true, true, false]);
});

test('garbage collection deletes a delta together with its target, and forgets the refused pairs', async () => {
  const { rig, old, digest } = await open();
  await using _ = rig;
  const to = await rig.gateway.push(app, random(70));
  const other = await keepDelta(rig.syncer, sampleDelta(to, [old], 200));
  await rig.syncer.call(refuseDelta, { to, from: [old], format: DELTA_FORMAT, reason: 'poor' });
  await rig.gateway.call(unlinkBlob, { repository: app, digest: to });
  rig.now += HOUR;
  const found = { ...nothing, links: 1, blobs: 3, bytes: 50 + 70 + 200 };
  assert.deepEqual(await collect(rig, true), { ...found });
  assert.deepEqual(await collect(rig), found);
  assert.deepEqual(await missing(rig, [to, other, digest]), [to, other]);
  await assert.rejects(stat(fileOf(rig, other)), { code: 'ENOENT' });
  await collect(rig);
  assert.deepEqual(await counted(rig), { count: 1, bytes: 100, refused: 0 });
});

test('a delta waits for its target for one grace, and longer while it crosses the link', async () => {
  const { rig, old } = await open();
  await using _ = rig;
  const [never, late] = [absent(), absent()];
  const lost = await keepDelta(rig.syncer, sampleDelta(never, [old]));
  const awaited = await keepDelta(rig.syncer, sampleDelta(late, [old]));
  await rig.syncer.call(claimTransfer, { digest: late, size: 100, by: 'a', repository: app });
  rig.now += HOUR - 1;
  await collect(rig);
  assert.deepEqual(await missing(rig, [lost, awaited]), []);
  rig.now += 1;
  await collect(rig);
  assert.deepEqual(await missing(rig, [lost, awaited]), [lost]);
});

test('a damaged delta is deleted by a scrub: it is neither quarantined nor missing', async () => {
  const { rig, to, digest } = await open();
  await using _ = rig;
  const linked = await rig.gateway.push(app, random(80));
  const sample = sampleWithHeader(to, [linked]);
  await rig.gateway.push(app, sample.bytes);
  await assert.rejects(transferDelta(rig.syncer, sample), fault('exists'));
  await damage(rig, digest);
  await damage(rig, sample.digest);
  const { damaged } = await rig.storage.scrubber.scrub(1e9);
  assert.deepEqual(damaged, [sample.digest], 'which a repository links');
  const listed = await rig.syncer.call(listDamaged, { limit: 10 });
  assert.deepEqual(
    listed.damaged.map((one) => one.digest),
    [sample.digest],
  );
  assert.equal(await counted(rig), undefined);
  await assert.rejects(stat(fileOf(rig, digest)), { code: 'ENOENT' });
  await assert.rejects(locate(rig, digest), fault('blob-unknown'));
});

test('a damaged target keeps its deltas: it may be made again with them', async () => {
  const { rig, to, digest } = await open();
  await using _ = rig;
  await damage(rig, to);
  await rig.storage.scrubber.scrub(1e9);
  rig.now += HOUR;
  await collect(rig);
  assert.deepEqual(await missing(rig, [to, digest]), [to]);
  assert.equal((await locate(rig, digest)).incomplete, false);
});

test('a backup has neither the records nor the content of deltas', async () => {
  const { rig, old, to, digest } = await open();
  const folder = await mkdtemp(join(root, 'backup-'));
  const [target, data] = [join(folder, 'b'), join(folder, 'restored')];
  const linked = sampleWithHeader(to, [absent()]);
  {
    await using _ = rig;
    await rig.gateway.push(app, linked.bytes);
    await assert.rejects(transferDelta(rig.syncer, linked), fault('exists'));
    await rig.syncer.call(refuseDelta, { to, from: [old], format: DELTA_FORMAT, reason: 'poor' });
    const { blobs, missing: absentBlobs } = await rig.storage.backups.run({ target });
    assert.deepEqual([blobs, absentBlobs], [5, undefined], 'two layers, config, manifest, what is linked');
  }
  const { missing: notRestored } = await restoreBackup(
    { source: target, data, metadataOnly: false },
    () => {},
  );
  assert.equal(notRestored.blobs, 0);
  await using restored = await Rig.open(buses, data);
  assert.equal(await counted(restored), undefined);
  assert.deepEqual(await missing(restored, [digest, linked.digest, to]), [digest]);
  assert.equal(digestOf(await restored.gateway.read(app, linked.digest)), linked.digest);
  const status = await restored.gateway.call(storageStatus, {});
  assert.deepEqual([status.blobs, status.damaged], [5, 0]);
});

test('a repair drops deltas: their content is left to garbage collection, and none counts as lost', async () => {
  const { rig, old, to, digest } = await open();
  await using _ = rig;
  const other = await keepDelta(rig.syncer, sampleDelta(to, [old], 90));
  await rig.syncer.call(refuseDelta, { to, from: [old], format: DELTA_FORMAT, reason: 'poor' });
  await rig.stop();
  await rm(fileOf(rig, other), { force: true });
  const { lost, restored } = await repair(rig, { force: true });
  assert.deepEqual([lost, restored], [[], []]);
  await rig.start();
  assert.equal(await counted(rig), undefined);
  assert.deepEqual(await missing(rig, [digest, other]), [other]);
  rig.now += HOUR;
  await collect(rig);
  assert.deepEqual(await missing(rig, [digest, to]), [digest]);
});

test('records whose content an earlier version has deleted are dropped at the start', async () => {
  const { rig, old, to, digest } = await open();
  await using _ = rig;
  const other = await keepDelta(rig.syncer, sampleDelta(to, [old], 90));
  await rig.stop();
  {
    await using metadata = await Metadata.open(join(rig.data, 'metadata'));
    await metadata.write([{ type: 'del', key: `b!${other}` }]);
  }
  await rm(fileOf(rig, other), { force: true });
  await rig.start();
  assert.deepEqual(await counted(rig), { count: 1, bytes: 100, refused: 0 });
  const found = await rig.gateway.call(findDeltas, { repository: app, wanted: [to], held: [old] });
  assert.deepEqual(
    found.deltas.map((one) => one.digest),
    [digest],
  );
});

test('a link that is made of the content of a delta keeps it when the delta is deleted', async () => {
  const { rig, to, old, digest } = await open();
  await using _ = rig;
  await rig.gateway.call(linkBlobs, { repository: app, digests: [digest] });
  await rig.syncer.call(refuseDelta, { to, from: [old], format: DELTA_FORMAT, reason: 'wrong' });
  assert.deepEqual(await counted(rig), { count: 0, bytes: 0, refused: 1 });
  assert.deepEqual(await missing(rig, [digest]), []);
  assert.equal(digestOf(await rig.gateway.read(app, digest)), digest);
});
