import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { locateBlob } from '#proto/content/blobs.ts';
import { claimTransfer } from '#proto/content/ingests.ts';
import { bytesOf, digestOf, fault, Rig, random } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const fileOf = (rig: Rig, digest: string) => {
  const [algorithm, hex] = digest.split(':') as [string, string];
  return join(rig.data, 'blobs', algorithm, hex.slice(0, 2), hex);
};

test('a committed blob has the bytes of its ingest in a read-only file, and the ingest is deleted', async () => {
  await using rig = await Rig.open(buses);
  const bytes = random(2_500_000);
  const digest = await rig.gateway.push(repository, bytes);
  const location = await rig.gateway.call(locateBlob, { repository, digest });
  assert.equal(location.size, bytes.byteLength);
  assert.equal(join(rig.data, location.path), fileOf(rig, digest));
  assert.deepEqual(await rig.gateway.read(repository, digest), bytes);
  assert.equal((await stat(fileOf(rig, digest))).mode & 0o777, 0o444);
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), []);
  assert.deepEqual(rig.events, [['blob.committed', { digest, size: bytes.byteLength }]]);
});

test('a commit of existing content succeeds, keeps its file, and publishes no event', async () => {
  await using rig = await Rig.open(buses);
  const bytes = bytesOf('twice');
  const digest = await rig.gateway.push(repository, bytes);
  const { ino } = await stat(fileOf(rig, digest));
  await rig.gateway.push('lib/other', bytes);
  assert.equal((await stat(fileOf(rig, digest))).ino, ino);
  assert.equal(rig.events.length, 1);
  assert.deepEqual(new Uint8Array(await rig.gateway.read('lib/other', digest)), bytes);
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), []);
});

test('a file that a crash left in the blob store is replaced by verified content', async () => {
  await using rig = await Rig.open(buses);
  const bytes = bytesOf('the right bytes');
  const digest = digestOf(bytes);
  await leaveFile(rig, digest, bytesOf('torn'));
  await assert.rejects(rig.gateway.read(repository, digest), fault('name-unknown'));
  await rig.gateway.push(repository, bytes);
  assert.deepEqual(new Uint8Array(await rig.gateway.read(repository, digest)), bytes);
});

test('a transfer adopts an intact file that a crash left in the blob store, and deletes a damaged one', async () => {
  await using rig = await Rig.open(buses);
  const intact = bytesOf('left in place');
  await leaveFile(rig, digestOf(intact), intact);
  const claim = (bytes: Uint8Array) =>
    rig.syncer.call(claimTransfer, { digest: digestOf(bytes), size: bytes.byteLength, by: 's' });
  await assert.rejects(claim(intact), fault('exists'));
  assert.equal((await rig.storage.status()).bytes, intact.byteLength);
  const damaged = bytesOf('never arrived');
  await leaveFile(rig, digestOf(damaged), bytesOf('never'));
  assert.equal((await claim(damaged)).offset, 0);
  await assert.rejects(stat(fileOf(rig, digestOf(damaged))), { code: 'ENOENT' });
});

/** Leaves a file without a record in the blob store. */
async function leaveFile(rig: Rig, digest: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(fileOf(rig, digest)), { recursive: true });
  await writeFile(fileOf(rig, digest), bytes);
  await chmod(fileOf(rig, digest), 0o444);
}
