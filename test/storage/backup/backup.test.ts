import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { deleteManifest } from '#proto/content/manifests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { checkBackup } from '../../../services/storage/backup/check.ts';
import { MARK } from '../../../services/storage/backup/target/backup-format.ts';
import { chosenList, openSource } from '../../../services/storage/backup/target/backup-source.ts';
import { copyContent } from '../../../services/storage/backup/target/copy-content.ts';
import { paceAt } from '../../../services/storage/backup/target/pace.ts';
import { sharedFolder } from '../../support/shared-folder.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { until } from '../../support/until.ts';
import { bytesOf, connectAll, digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();
const root = sharedFolder('backup');
let target: string;
beforeEach(async () => {
  target = join(await mkdtemp(join(root, 'target-')), 'b');
});

const noPace = paceAt(undefined, new AbortController().signal);
const HOUR = 3_600_000;
const fileOf = (folder: string, digest: string) =>
  join(folder, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));

async function check(path: string, at?: number) {
  await using source = await openSource(path);
  return await checkBackup(source, await chosenList(source, at), noPace);
}

/** Until the records of the backup are read, with this number of blobs. */
const untilWritten = (rig: Rig, blobs: number) =>
  until(() => rig.storage.backups.status?.running?.ofBlobs === blobs, 'the records are taken');

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

test('a backup has all records and all content, is private, and the next one writes only what is new', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  const first = await rig.storage.backups.run({ target });
  assert.deepEqual([first.blobs, first.written.blobs, first.missing], [3, 3, undefined]);
  assert.deepEqual((await check(target)).damaged, { blobs: 0, first: [] });
  for (const entry of await readdir(target, { recursive: true, withFileTypes: true })) {
    const { mode } = await stat(join(entry.parentPath, entry.name));
    assert.equal((mode & 0o777).toString(8), entry.isFile() ? '600' : '700', entry.name);
  }

  await rig.gateway.pushImage('line/app', 'two', { tag: 'v2' });
  rig.now += HOUR;
  const second = await rig.storage.backups.run({ target });
  assert.deepEqual([second.blobs, second.written.blobs], [5, 2]);
  await using source = await openSource(target);
  assert.deepEqual(await source.ids(), [first.id, second.id]);
  assert.equal((await chosenList(source, first.at)).id, first.id);
  assert.equal((await filesIn(join(target, 'new'))).length, 0);
  const { backup } = await rig.gateway.call(storageStatus, {});
  assert.equal(backup?.last?.id, second.id);
  assert.deepEqual(
    rig.events.filter(([type]) => type.startsWith('backup.')).map(([type]) => type),
    ['backup.completed', 'backup.completed'],
  );
  await rig.restart();
  assert.equal((await rig.gateway.call(storageStatus, {})).backup?.last?.id, second.id, 'after a restart');
});

test('content that is deleted during a backup is in it, and its file is deleted at its end', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage('line/app', 'goes', { tag: 'v1' });
  const blob = digestOf(bytesOf('goes'));
  rig.now += HOUR;
  // A rate at which the copies take longer than the deletion of the records.
  const running = rig.storage.backups.run({ target, rate: 500 });
  await untilWritten(rig, 3);
  await rig.gateway.call(deleteManifest, { repository: 'line/app', digest });
  const { blobs } = await rig.storage.garbage.collect(false);
  assert.equal(blobs, 3, 'all records are deleted at once');
  await stat(fileOf(rig.data, blob));
  const done = await running;
  assert.deepEqual([done.blobs, done.written.blobs], [3, 3]);
  assert.deepEqual((await check(target)).damaged.blobs, 0);
  await assert.rejects(stat(fileOf(rig.data, blob)), { code: 'ENOENT' });
  const { strays } = await rig.storage.garbage.collect(false);
  assert.equal(strays, 0);
});

test('content that is pushed again during a backup stays', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage('line/app', 'again', { tag: 'v1' });
  rig.now += HOUR;
  const running = rig.storage.backups.run({ target, rate: 500 });
  await untilWritten(rig, 3);
  await rig.gateway.call(deleteManifest, { repository: 'line/app', digest });
  await rig.storage.garbage.collect(false);
  await rig.gateway.pushImage('line/app', 'again', { tag: 'v1' });
  await running;
  assert.deepEqual((await rig.storage.scrubber.scrub(1e9)).damaged, []);
});

test('a tar file has one complete backup, and other tools read it', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  await rig.gateway.push('line/app', bytesOf('x'.repeat(70_000)), digestOf(bytesOf('x'.repeat(70_000))));
  const path = `${target}.tar`;
  const done = await rig.storage.backups.run({ target: path });
  assert.equal(done.blobs, 4);
  assert.deepEqual(await check(path), {
    ...{ id: done.id, at: done.at, records: done.records, blobs: 4, bytes: done.bytes },
    damaged: { blobs: 0, first: [] },
    readBack: done.readBack,
  });
  const folder = `${target}-unpacked`;
  await mkdir(folder);
  execFileSync('tar', ['-xf', path, '-C', folder]);
  assert.equal((await check(folder)).damaged.blobs, 0);
  const bytes = await readFile(path);
  await writeFile(`${target}-cut.tar`, bytes.subarray(0, bytes.byteLength - 4_096));
  await assert.rejects(check(`${target}-cut.tar`), fault('conflict'));
});

test('a backup of a layer with damaged content is made, and names it', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('line/app', 'bad', { tag: 'v1' });
  const bad = digestOf(bytesOf('bad'));
  await rm(fileOf(rig.data, bad));
  const done = await rig.storage.backups.run({ target });
  assert.deepEqual(done.missing, { blobs: 1, first: [bad] });
  assert.deepEqual((await check(target)).damaged.blobs, 0, 'it is known to be missing');
  await rig.storage.scrubber.scrub(1e9);
  rig.now += HOUR;
  const next = await rig.storage.backups.run({ target });
  assert.deepEqual([next.blobs, next.missing], [2, { blobs: 1, first: [bad] }], 'also once it is known');
});

test('damage in a backup is found', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  const { id } = await rig.storage.backups.run({ target });
  const blob = digestOf(bytesOf('one'));
  await writeFile(fileOf(target, blob), 'eno');
  assert.deepEqual((await check(target)).damaged, { blobs: 1, first: [blob] });
  const dump = join(target, `backups/${id}.metadata.zst`);
  const bytes = await readFile(dump);
  bytes[40] = (bytes[40] as number) ^ 1;
  await writeFile(dump, bytes);
  await assert.rejects(check(target), fault('malformed'));
  const list = join(target, `backups/${id}.json`);
  await writeFile(list, (await readFile(list, 'utf8')).replace('"blobs": 3', '"blobs": 4'));
  await assert.rejects(check(target), fault('malformed'));
});

test('older backups are deleted with the content that only they have', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage('line/app', 'old', { tag: 'v1' });
  await rig.storage.backups.run({ target });
  await rig.gateway.call(deleteManifest, { repository: 'line/app', digest });
  rig.now += HOUR;
  await rig.storage.garbage.collect(false);
  await rig.gateway.pushImage('line/app', 'new', { tag: 'v2' });
  const second = await rig.storage.backups.run({ target, keep: 2 });
  assert.equal(second.deleted, 0);
  rig.now += HOUR;
  const third = await rig.storage.backups.run({ target, keep: 2 });
  assert.equal(third.deleted, 1);
  await using source = await openSource(target);
  assert.deepEqual(await source.ids(), [second.id, third.id]);
  await assert.rejects(stat(fileOf(target, digestOf(bytesOf('old')))), { code: 'ENOENT' });
  await stat(fileOf(target, digestOf(bytesOf('new'))));
});

test('a backup stays that was made after the clock was set back', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  await rig.storage.backups.run({ target });
  rig.now -= HOUR;
  const { id, deleted } = await rig.storage.backups.run({ target, keep: 1 });
  assert.equal(deleted, 1);
  await using source = await openSource(target);
  assert.deepEqual(await source.ids(), [id]);
});

test('what is read back is progress, and no part of the rate', async () => {
  const folder = await mkdtemp(join(root, 'copy-'));
  await writeFile(join(folder, 'from'), 'one');
  const paced: number[] = [];
  const content = { digest: digestOf(bytesOf('one')), size: 3 };
  const from = { path: join(folder, 'from'), offset: 0, size: 3 };
  const to = { temporary: join(folder, 'new'), path: join(folder, 'to'), mode: 0o600 };
  await copyContent(content, from, to, async (bytes) => {
    paced.push(bytes);
  });
  assert.deepEqual(paced, [3, 0]);
});

test('what a killed backup left is used by the next one, and deleted where it is of no use', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  const { id } = await rig.storage.backups.run({ target });
  // As if it had been killed before it was complete.
  await rm(join(target, `backups/${id}.json`));
  await writeFile(join(target, 'new/half'), 'half');
  const next = await rig.storage.backups.run({ target });
  assert.equal(next.written.blobs, 0, 'its content is complete');
  assert.deepEqual(await filesIn(join(target, 'new')), []);
  assert.equal((await readdir(join(target, 'backups'))).length, 2);
});

test('a target of another layer, of other files or in the data folder is refused; a running backup is busy', async () => {
  await using rig = await Rig.open(buses);
  const others = await connectAll();
  await using _others = others.server;
  await using other = await Rig.open(others);
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  await rig.storage.backups.run({ target });
  await assert.rejects(other.storage.backups.run({ target }), fault('conflict'));
  const used = `${target}-used`;
  await mkdir(used);
  await writeFile(join(used, 'letter'), '');
  await assert.rejects(rig.storage.backups.run({ target: used }), fault('conflict'));
  await assert.rejects(rig.storage.backups.run({ target: join(rig.data, 'b') }), fault('conflict'));
  await assert.rejects(rig.storage.backups.run({ target: join(root, 'no/b') }), fault('unavailable'));
  const running = rig.storage.backups.run({ target, rate: 100 });
  await assert.rejects(rig.storage.backups.run({ target }), fault('busy'));
  const cancelled = assert.rejects(running, fault('unavailable'));
  await rig.storage.backups.cancel();
  await cancelled;
  const { backup } = await rig.gateway.call(storageStatus, {});
  assert.equal(backup?.failed?.count, 4);
  assert.match(backup?.failed?.reason ?? '', /cancelled/);
  const { backups } = rig.storage;
  await rm(target, { recursive: true });
  await assert.rejects(backups.run({ target, scheduled: true }), /mount the medium/);
  await assert.rejects(stat(join(target, 'backups')), { code: 'ENOENT' });
});

test('a target that disappears in the middle, and a stop of the layer, end the backup and nothing else', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  const pulled = rig.storage.backups.run({ target, rate: 500 });
  pulled.catch(() => {});
  await untilWritten(rig, 3);
  await rm(target, { recursive: true });
  await assert.rejects(pulled, fault('unavailable'));
  await rig.gateway.pushImage('line/app', 'two', { tag: 'v2' });
  const stopped = rig.storage.backups.run({ target, rate: 500 });
  stopped.catch(() => {});
  await untilWritten(rig, 5);
  await rig.restart();
  await assert.rejects(stopped, /shutting down/);
  const done = await rig.storage.backups.run({ target });
  assert.equal(done.blobs, 5);
  assert.equal((await check(target)).damaged.blobs, 0);
});

test('a target that hangs fails the backup, holds one thread, and is used again once it answers', async () => {
  await using rig = await Rig.open(buses);
  const { backups } = rig.storage;
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  await mkdir(target);
  // Reading it waits for a writer, as a share that is mounted hard waits for its server.
  const fifo = join(target, MARK);
  execFileSync('mkfifo', [fifo]);
  Object.assign(backups.patience, { openMs: 50, endMs: 50 });
  try {
    await assert.rejects(backups.run({ target }), /does not answer: check the medium/);
    assert.match(backups.status?.failed?.reason ?? '', /does not answer/);
    assert.equal(backups.status?.running, undefined);
    for (let i = 0; i < 8; i += 1) {
      await assert.rejects(backups.run({ target }), fault('busy'));
      await rig.gateway.pushImage('line/app', `more ${i}`, { tag: 'v1' });
    }
  } finally {
    // Opened for reading and writing, it waits for nobody.
    await (await open(fifo, 'r+')).close();
  }
  await rm(fifo);
  Object.assign(backups.patience, { openMs: 60_000 });
  await until(
    () =>
      backups.run({ target }).then(
        () => true,
        (error) => error.code !== 'busy' && Promise.reject(error),
      ),
    'the target is used again',
  );
  assert.equal((await check(target)).damaged.blobs, 0);
});

test('a full and a read-only target are named, and the layer goes on', async (context) => {
  await using volume = await smallVolume(4);
  if (!volume) return context.skip('may not mount');
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
  const path = join(volume.path, 'b');
  await assert.rejects(rig.storage.backups.run({ target: path }), /has .* free, and the backup needs/);
  assert.deepEqual(await filesIn(path), ['terrace-backup.json']);
  volume.readOnly();
  await assert.rejects(rig.storage.backups.run({ target: path }), /EROFS/);
  await rig.gateway.pushImage('line/app', 'two', { tag: 'v2' });
});
