import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { linkBlobs, locateBlob, missingBlobs } from '#proto/content/blobs.ts';
import {
  CLAIM_TTL_MS,
  claimTransfer,
  commitBlob,
  releaseClaim,
  startUpload,
} from '#proto/content/ingests.ts';
import { deleteManifest, listRepositories } from '#proto/content/manifests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { bytesOf, descriptorOf, digestOf, fault, imageOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const repository = 'lib/app';
const layer = bytesOf('layer');
const nothing = { links: 0, blobs: 0, bytes: 0, ingests: 0, repositories: 0, strays: 0 };

async function collect(rig: Rig, dryRun = false) {
  const { dryRun: _, ms: __, ...found } = await rig.storage.garbage.collect(dryRun);
  return found;
}

const isPresent = async (rig: Rig, bytes: Uint8Array) => {
  const { digests } = await rig.gateway.call(missingBlobs, { digests: [digestOf(bytes)] });
  return digests.length === 0;
};
const fileOf = (rig: Rig, digest: string) =>
  join(rig.data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));

test('content that a manifest names stays, tagged or not; the rest is deleted after its grace, link first', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'layer');
  const unnamed = bytesOf('no manifest names this');
  const digest = await rig.gateway.push(repository, unnamed);
  assert.deepEqual(await collect(rig), nothing, 'within the grace');
  rig.now += HOUR;
  const found = { ...nothing, links: 1, blobs: 1, bytes: unnamed.byteLength };
  assert.deepEqual(await collect(rig, true), found);
  assert.deepEqual(await collect(rig, true), found, 'a dry run changes nothing');
  rig.events.length = 0;
  assert.deepEqual(await collect(rig), found);
  assert.deepEqual(
    rig.events.filter(([type]) => type !== 'garbage.collected'),
    [['blob.unlinked', { repository, digest }]],
  );
  await assert.rejects(stat(fileOf(rig, digest)), { code: 'ENOENT' });
  await assert.rejects(rig.gateway.call(locateBlob, { repository, digest }), fault('blob-unknown'));
  assert.ok(await isPresent(rig, layer));
  assert.deepEqual(await collect(rig), nothing);
});

test('the content of a deleted image is deleted unless another repository links it, then the repository', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'layer', { tag: 'v1' });
  await rig.gateway.pushImage('lib/other', 'another');
  await rig.gateway.call(linkBlobs, { repository: 'lib/other', digests: [digestOf(bytesOf('{}'))] });
  await rig.gateway.call(deleteManifest, { repository, digest });
  rig.now += HOUR;
  const { links, blobs, repositories } = await collect(rig);
  assert.deepEqual([links, blobs, repositories], [2, 2, 1], 'layer and manifest; the config is shared');
  assert.ok(await isPresent(rig, bytesOf('{}')));
  const { repositories: left } = await rig.gateway.call(listRepositories, { limit: 9 });
  assert.deepEqual(left, ['lib/other']);
});

test('of many blobs, those that nothing names are deleted, and all others stay', async () => {
  await using rig = await Rig.open(buses);
  const named: Uint8Array[] = [];
  for (let image = 0; image < 3; image += 1) {
    const layers = Array.from({ length: 20 }, (_, n) => bytesOf(`layer ${n} of ${image}`));
    for (const bytes of [bytesOf('{}'), ...layers]) await rig.gateway.push(repository, bytes);
    await rig.gateway.pushManifest(
      repository,
      imageOf('', { layers: layers.map((bytes) => descriptorOf(bytes)) }),
    );
    named.push(...layers);
  }
  const unnamed = Array.from({ length: 30 }, (_, n) => bytesOf(`unnamed ${n}`));
  for (const bytes of unnamed) await rig.gateway.push(repository, bytes);
  rig.now += HOUR;
  const { links, blobs } = await collect(rig);
  assert.deepEqual([links, blobs], [30, 30]);
  const { digests } = await rig.gateway.call(missingBlobs, {
    digests: [...named, ...unnamed].map((one) => digestOf(one)),
  });
  assert.deepEqual(digests.sort(), unnamed.map((one) => digestOf(one)).sort());
});

test('a foreign layer that is present stays', async () => {
  await using rig = await Rig.open(buses);
  const foreign = bytesOf('of another place');
  await rig.gateway.push(repository, foreign);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, layer);
  const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
  const layers = [descriptorOf(layer), descriptorOf(foreign, mediaType)];
  await rig.gateway.pushManifest(repository, imageOf('layer', { layers }));
  rig.now += DAY;
  assert.deepEqual(await collect(rig), nothing);
});

test('a digest that a manifest writes with escapes counts as named', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, layer);
  const text = JSON.stringify(imageOf('layer')).replaceAll('sha256:', 'sha256\\u003a');
  await rig.gateway.pushManifest(repository, bytesOf(text));
  rig.now += DAY;
  assert.deepEqual(await collect(rig), nothing);
});

test('after a start all content is protected for one grace of the configuration', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, layer);
  rig.now += HOUR;
  await rig.restart();
  rig.configure({ garbage: { graceMs: 5_000 } });
  rig.now += 4_999;
  assert.deepEqual(await collect(rig), nothing);
  rig.configure({ garbage: { graceMs: 6_000 } });
  rig.now += 2_000;
  assert.deepEqual(await collect(rig), nothing, 'renewals before a longer grace was set may be missing');
  rig.now += 4_000;
  assert.equal((await collect(rig)).blobs, 1);
});

test('transferred content is kept for weeks without a manifest, linked or not, also over restarts', async () => {
  await using rig = await Rig.open(buses);
  const digest = digestOf(layer);
  const claim = await rig.syncer.call(claimTransfer, { digest, size: layer.byteLength, by: 'a' });
  await rig.syncer.write(claim, layer);
  await rig.syncer.call(commitBlob, { id: claim.id, claim: claim.claim, digest });
  rig.now += 29 * DAY;
  await rig.restart();
  rig.now += 12 * HOUR;
  assert.deepEqual(await collect(rig), nothing);
  await rig.syncer.call(linkBlobs, { repository, digests: [digest] });
  rig.now += 2 * HOUR;
  assert.deepEqual(await collect(rig), nothing);
  const manifest = await rig.gateway.pushImage(repository, 'layer');
  await rig.gateway.call(deleteManifest, { repository, digest: manifest });
  rig.now += HOUR;
  assert.equal((await collect(rig)).blobs, 3, 'once it was named, it is like other content');
});

test('abandoned uploads and transfers are deleted after their time, held ones never', async () => {
  await using rig = await Rig.open(buses);
  const upload = await rig.gateway.call(startUpload, { repository, by: 'a', hold: false });
  await rig.gateway.write(upload, layer);
  const transfer = await rig.syncer.call(claimTransfer, { digest: digestOf(layer), size: 99, by: 'a' });
  await rig.syncer.call(releaseClaim, transfer);
  rig.now += DAY - 1;
  assert.equal((await collect(rig)).ingests, 0);
  rig.now += 1;
  assert.deepEqual(await collect(rig), { ...nothing, ingests: 1, bytes: layer.byteLength });
  rig.now += 29 * DAY;
  const held = await rig.gateway.call(startUpload, { repository, by: 'a', hold: true });
  rig.configure({ garbage: { uploadsMs: 0 } });
  assert.equal((await collect(rig)).ingests, 1);
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), [held.id]);
  rig.now += CLAIM_TTL_MS;
  assert.equal((await collect(rig)).ingests, 1);
});

test('an upload that nobody continues is deleted a minute after its holder has ended', async () => {
  await using rig = await Rig.open(buses);
  const held = await rig.syncer.call(startUpload, { repository, by: 'a', hold: true, alone: true });
  await rig.syncer.write(held, layer);
  await rig.gateway.call(startUpload, { repository, by: 'a', hold: false });
  rig.now += MINUTE - 1;
  assert.equal((await collect(rig)).ingests, 0);
  rig.now += 1;
  assert.deepEqual(await collect(rig), { ...nothing, ingests: 1, bytes: layer.byteLength });
});

test('files without a record are deleted, and files that were in quarantine for a month', async () => {
  await using rig = await Rig.open(buses);
  const stray = fileOf(rig, digestOf(bytesOf('stray')));
  await mkdir(dirname(stray), { recursive: true });
  await writeFile(stray, 'half of it');
  const quarantined = join(rig.data, 'quarantine', 'old');
  await mkdir(dirname(quarantined));
  await writeFile(quarantined, 'x');
  await utimes(quarantined, 0, 0);
  assert.deepEqual(await collect(rig, true), { ...nothing, strays: 1, bytes: 10 });
  assert.equal(await readFile(stray, 'utf8'), 'half of it');
  assert.equal((await collect(rig)).strays, 1);
  await assert.rejects(stat(stray), { code: 'ENOENT' });
  await assert.rejects(stat(quarantined), { code: 'ENOENT' });
});

test('one collection runs at a time', async () => {
  await using rig = await Rig.open(buses);
  const first = collect(rig);
  await assert.rejects(collect(rig), fault('busy'));
  await first;
  await collect(rig);
});

test('an unreadable manifest keeps every link of its repository', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'layer', { tag: 'v1' });
  await rig.gateway.push(repository, bytesOf('unnamed'));
  await chmod(fileOf(rig, digest), 0o600);
  await writeFile(fileOf(rig, digest), '{}');
  rig.now += DAY;
  assert.equal((await collect(rig)).links, 0);
  const { blobs } = await rig.gateway.call(storageStatus, {});
  assert.equal(blobs, 4);
});
