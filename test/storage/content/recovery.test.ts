import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Level } from 'level';
import { claimTransfer, commitBlob, releaseClaim, uploadStatus } from '#proto/content/ingests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { bytesOf, digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const content = bytesOf('what is transferred');
const transfer = { digest: digestOf(content), size: content.byteLength, by: 'a' };
const folders = (rig: Rig) => readdir(join(rig.data, 'ingest'));
const blobFileOf = (rig: Rig, digest: string) => {
  const hex = digest.slice('sha256:'.length);
  return join(rig.data, 'blobs/sha256', hex.slice(0, 2), hex);
};

/** Restarts storage, and changes its database in between. */
async function restartAround(rig: Rig, work: (db: Level<string, unknown>) => Promise<void>): Promise<void> {
  await rig.stop();
  const db = new Level<string, unknown>(join(rig.data, 'metadata'), { valueEncoding: 'json' });
  await work(db);
  await db.close();
  await rig.start();
}

async function forgetIngests(db: Level<string, unknown>): Promise<void> {
  for await (const key of db.keys({ gt: 'i!', lt: 'i"' })) await db.del(key);
}

test('after a loss of records, a transfer is adopted as unclean, and an upload is deleted', async () => {
  await using rig = await Rig.open(buses);
  const claim = await rig.syncer.call(claimTransfer, transfer);
  await rig.syncer.write(claim, content.subarray(0, 9));
  await rig.syncer.call(releaseClaim, claim);
  const upload = await rig.gateway.uploaded(repository, content);
  await restartAround(rig, forgetIngests);
  assert.deepEqual(await folders(rig), [claim.id]);
  await assert.rejects(
    rig.gateway.call(uploadStatus, { repository, id: upload.id }),
    fault('upload-unknown'),
  );
  const again = await rig.syncer.call(claimTransfer, transfer);
  assert.deepEqual([again.id, again.offset, again.clean], [claim.id, 9, false]);
  await rig.syncer.write(again, content.subarray(9), 9);
  await rig.syncer.call(commitBlob, { id: again.id, claim: again.claim, digest: transfer.digest });
});

test('an adopted transfer with more bytes than its size restarts from 0', async () => {
  await using rig = await Rig.open(buses);
  const claim = await rig.syncer.call(claimTransfer, transfer);
  await rig.syncer.write(claim, content);
  await restartAround(rig, forgetIngests);
  const again = await rig.syncer.call(claimTransfer, { ...transfer, size: 3 });
  assert.equal(again.offset, 0);
});

test('unknown folders and records without a folder are deleted at a start', async () => {
  await using rig = await Rig.open(buses);
  const matched = await rig.syncer.call(claimTransfer, transfer);
  const withoutFolder = await rig.gateway.uploaded(repository, content);
  for (const name of ['trash-00', 'upload-12', 'transfer-sha256-abc', 'what-is-this']) {
    await mkdir(join(rig.data, 'ingest', name));
    await writeFile(join(rig.data, 'ingest', name, 'data'), 'x');
  }
  await rm(join(rig.data, withoutFolder.path), { recursive: true });
  await rig.restart();
  assert.deepEqual(await folders(rig), [matched.id]);
  const { ingests } = await rig.gateway.call(storageStatus, {});
  assert.deepEqual(
    ingests.map(({ id }) => id),
    [matched.id],
  );
});

test('a transfer of content that was committed meanwhile is deleted at a start', async () => {
  await using rig = await Rig.open(buses);
  await rig.syncer.call(claimTransfer, transfer);
  await rig.gateway.push(repository, content);
  await rig.restart();
  assert.deepEqual(await folders(rig), []);
  assert.deepEqual((await rig.gateway.call(storageStatus, {})).ingests, []);
});

test('after a crash between rename and batch, the commit can be retried or the upload continued', async () => {
  for (const continues of [false, true]) {
    await using rig = await Rig.open(buses);
    const held = await rig.gateway.uploaded(repository, content);
    const { id, claim } = held;
    const { digest } = transfer;
    await restartAround(rig, async (db) => {
      const record = (await db.get(`i!${id}`)) as object;
      await db.put(`i!${id}`, { ...record, placing: digest });
      await mkdir(dirname(blobFileOf(rig, digest)), { recursive: true });
      await chmod(join(rig.data, held.path, 'data'), 0o444);
      await rename(join(rig.data, held.path, 'data'), blobFileOf(rig, digest));
    });
    await assert.rejects(rig.gateway.read(repository, digest), fault('name-unknown'));
    const { offset } = await rig.gateway.call(uploadStatus, { repository, id });
    assert.equal(offset, content.byteLength);
    const bytes = continues ? bytesOf(`${Buffer.from(content)}!`) : content;
    if (continues) await rig.gateway.write(held, bytes.subarray(offset), offset);
    await rig.gateway.call(commitBlob, { id, claim, digest: digestOf(bytes), repository });
    assert.deepEqual(new Uint8Array(await rig.gateway.read(repository, digestOf(bytes))), bytes);
  }
});

test('after a crash just before the rename, the file is writable again', async () => {
  await using rig = await Rig.open(buses);
  const held = await rig.gateway.uploaded(repository, content);
  await restartAround(rig, async (db) => {
    const record = (await db.get(`i!${held.id}`)) as object;
    await db.put(`i!${held.id}`, { ...record, placing: transfer.digest });
    await chmod(join(rig.data, held.path, 'data'), 0o444);
  });
  assert.equal((await stat(join(rig.data, held.path, 'data'))).mode & 0o777, 0o600);
});

test('a data volume that is in use is refused with the reason', async () => {
  await using rig = await Rig.open(buses);
  await assert.rejects(Metadata.open(join(rig.data, 'metadata'), 0), /another storage service uses/);
});

test('storage waits for the previous process to end', async () => {
  await using rig = await Rig.open(buses);
  const opening = Metadata.open(join(rig.data, 'metadata'));
  await rig.stop();
  await (await opening)[Symbol.asyncDispose]();
  await rig.start();
});

test('metadata of another version is refused', async () => {
  await using rig = await Rig.open(buses);
  await rig.stop();
  const folder = join(rig.data, 'metadata');
  const db = new Level<string, unknown>(folder, { valueEncoding: 'json' });
  await db.put('x!version', 7);
  await db.close();
  await assert.rejects(Metadata.open(folder), /version 7/);
  const again = new Level<string, unknown>(folder, { valueEncoding: 'json' });
  await again.put('x!version', 1);
  await again.close();
  await rig.start();
});
