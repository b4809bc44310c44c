import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
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
import { type Buses, bytesOf, connectAll, descriptorOf, digestOf, fault, imageOf, Rig } from '../rig.ts';

let buses: Buses;
before(async () => {
  buses = await connectAll();
});
after(() => buses.server[Symbol.asyncDispose]());

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const repository = 'lib/app';
const layer = bytesOf('layer');
const nothing = { links: 0, blobs: 0, bytes: 0, ingests: 0, repositories: 0, strays: 0 };

async function collect(rig: Rig, dryRun = false) {
  const { dryRun: _, ms: __, ...found } = await rig.storage.garbage.collect(dryRun);
  return found;
}

const isHere = async (rig: Rig, bytes: Uint8Array) => {
  const { digests } = await rig.gateway.call(missingBlobs, { digests: [digestOf(bytes)] });
  return digests.length === 0;
};
const fileOf = (rig: Rig, digest: string) =>
  join(rig.data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));

test('what a manifest names stays, tagged or not; the rest goes when its grace is over, link first', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'layer');
  const unnamed = bytesOf('no manifest names this');
  const digest = await rig.gateway.push(repository, unnamed);
  assert.deepEqual(await collect(rig), nothing, 'grace');
  rig.now += HOUR;
  const found = { ...nothing, links: 1, blobs: 1, bytes: unnamed.byteLength };
  assert.deepEqual(await collect(rig, true), found);
  assert.deepEqual(await collect(rig, true), found, 'counting changes nothing');
  rig.events.length = 0;
  assert.deepEqual(await collect(rig), found);
  assert.deepEqual(
    rig.events.filter(([type]) => type !== 'garbage.collected'),
    [['blob.unlinked', { repository, digest }]],
  );
  await assert.rejects(stat(fileOf(rig, digest)), { code: 'ENOENT' });
  await assert.rejects(rig.gateway.call(locateBlob, { repository, digest }), fault('blob-unknown'));
  assert.ok(await isHere(rig, layer));
  assert.deepEqual(await collect(rig), nothing);
});

test('the content of a deleted image goes, unless another repository has it; then the repository goes', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'layer', { tag: 'v1' });
  await rig.gateway.pushImage('lib/other', 'another');
  await rig.gateway.call(linkBlobs, { repository: 'lib/other', digests: [digestOf(bytesOf('{}'))] });
  await rig.gateway.call(deleteManifest, { repository, digest });
  rig.now += HOUR;
  const { links, blobs, repositories } = await collect(rig);
  assert.deepEqual([links, blobs, repositories], [2, 2, 1], 'layer and manifest; the config is shared');
  assert.ok(await isHere(rig, bytesOf('{}')));
  const { repositories: left } = await rig.gateway.call(listRepositories, { limit: 9 });
  assert.deepEqual(left, ['lib/other']);
});

test('a layer that a manifest need not have here, but that is here, stays', async () => {
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

test('a digest that is written with escapes is named all the same', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, layer);
  const text = JSON.stringify(imageOf('layer')).replaceAll('sha256:', 'sha256\\u003a');
  await rig.gateway.pushManifest(repository, bytesOf(text));
  rig.now += DAY;
  assert.deepEqual(await collect(rig), nothing);
});

test('after a start everything is kept for one grace, as the configuration has it', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, layer);
  rig.now += HOUR;
  await rig.restart();
  rig.keep({ garbage: { graceMs: 5_000 } });
  rig.now += 4_999;
  assert.deepEqual(await collect(rig), nothing);
  rig.keep({ garbage: { graceMs: 6_000 } });
  rig.now += 2_000;
  assert.deepEqual(await collect(rig), nothing, 'a longer grace knows nothing of what was said before');
  rig.now += 4_000;
  assert.equal((await collect(rig)).blobs, 1);
});

test('what came over the link waits for its manifest for weeks, linked or not, also over restarts', async () => {
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
  assert.equal((await collect(rig)).blobs, 3, 'named once, it is like any other');
});

test('uploads and transfers that nobody goes on with are given up in their time, never one that is held', async () => {
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
  rig.keep({ garbage: { uploadsMs: 0 } });
  assert.equal((await collect(rig)).ingests, 1);
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), [held.id]);
  rig.now += CLAIM_TTL_MS;
  assert.equal((await collect(rig)).ingests, 1);
});

test('files without a record go, and what lay in quarantine for a month', async () => {
  await using rig = await Rig.open(buses);
  const stray = fileOf(rig, digestOf(bytesOf('stray')));
  await mkdir(dirname(stray), { recursive: true });
  await writeFile(stray, 'half of it');
  const aside = join(rig.data, 'quarantine', 'old');
  await mkdir(dirname(aside));
  await writeFile(aside, 'x');
  await utimes(aside, 0, 0);
  assert.deepEqual(await collect(rig, true), { ...nothing, strays: 1, bytes: 10 });
  assert.equal(await readFile(stray, 'utf8'), 'half of it');
  assert.equal((await collect(rig)).strays, 1);
  await assert.rejects(stat(stray), { code: 'ENOENT' });
  await assert.rejects(stat(aside), { code: 'ENOENT' });
});

test('one run at a time', async () => {
  await using rig = await Rig.open(buses);
  const first = collect(rig);
  await assert.rejects(collect(rig), fault('busy'));
  await first;
  await collect(rig);
});

test('a manifest that can not be read keeps every link of its repository', async () => {
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
