import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { test } from 'node:test';
import { Level } from 'level';
import { put } from '../../../services/storage/metadata/batch-changes.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { type Read, readAt } from '../../../services/storage/repair/copy.ts';
import { notTakenOver } from '../../../services/storage/repair/repair-log.ts';
import { repairMetadata } from '../../../services/storage/repair/repair-metadata.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { fault } from '../rig.ts';

/** Data that a repair can't read, or has no room for, never counts as repaired. */

const MAIN = join(import.meta.dirname, '../../../services/storage/repair/main.ts');
const options = (data: string) => ({ data, hints: [], open: true, force: true, now: new Date(0) });
const randomWord = (bytes = 12) => randomBytes(bytes).toString('base64url');

class Volume implements AsyncDisposable {
  readonly data: string;
  constructor(data: string) {
    this.data = data;
  }
  static make = async () => new Volume(await mkdtemp(join(tmpdir(), 'terrace-salvage-')));
  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.data, { recursive: true, force: true });
  }
  async file(ending: string): Promise<string> {
    const folder = join(this.data, 'metadata');
    const names = (await readdir(folder)).filter((name) => name.endsWith(ending)).sort();
    return join(folder, names.at(-1) as string);
  }
}

/** The disk can't read the sector in which this byte of a file is. */
const unreadableAt =
  (path: string, at: number): Read =>
  async (file, buffer, position) => {
    const isFile = (await file.stat()).ino === (await stat(path)).ino;
    const sector = at - (at % 4096);
    if (isFile && position < sector + 4096 && position + buffer.byteLength > sector) {
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    }
    return readAt(file, buffer, position);
  };

test('a repair without enough free space is refused and changes nothing', async (t) => {
  await using volume = await smallVolume(16);
  if (!volume) return t.skip('needs the right to mount');
  {
    await using metadata = await Metadata.open(join(volume.path, 'metadata'));
    for (let i = 0; i < 20; i += 1) {
      await metadata.write(put.tag('app', `v${i}`, randomBytes(100_000).toString('base64')));
    }
  }
  const namesOf = async () =>
    (await readdir(join(volume.path, 'metadata'))).filter((name) => !name.startsWith('LOG'));
  const names = await namesOf();
  await volume.fill(5 * 1024 * 1024);
  await assert.rejects(repairMetadata(options(volume.path)), (error: Error) => {
    return fault('no-space')(error) && /a repair needs \d.* of free space, 3 times/.test(error.message);
  });
  assert.deepEqual(await namesOf(), names);
  await assert.rejects(stat(join(volume.path, 'repair')), { code: 'ENOENT' });
});

test("a log that can't be converted to a table fails the repair, and nothing is changed", async () => {
  await using volume = await Volume.make();
  const folder = join(volume.data, 'metadata');
  {
    const db = new Level(folder);
    // Such entries take more bytes in a table than in a log.
    await db.batch(
      Array.from({ length: 4_000 }, () => ({
        type: 'put' as const,
        key: `t!${randomWord()}`,
        value: randomWord(45),
      })),
    );
    await db.close();
  }
  const log = await volume.file('.log');
  const { size } = await stat(log);
  const limit = Math.ceil(size / 512) + 2;
  const child = spawn('sh', ['-c', `ulimit -f ${limit}; exec "$0" "$1"`, process.execPath, MAIN], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify({ data: volume.data, hints: [], open: true, force: true }));
  const answer = JSON.parse(await textOf(child.stdout));
  assert.equal(answer.kind, 'failed');
  assert.match(answer.why, /could not recover all of the metadata \(\d+\.log: .*nothing was changed/);
  assert.equal((await stat(log)).size, size);
  assert.deepEqual(await readdir(join(volume.data, 'repair')), []);
});

test('what LevelDB took over is determined from its LOG', () => {
  const given = { logs: [6], tables: [5], damaged: new Set<number>() };
  const lines = (...texts: string[]) => texts.map((text) => `2030/01/01-00:00:00.0 7f ${text}\n`).join('');
  const saved = 'Log #6: 3 ops saved to Table #7 OK';
  const read = 'Table #5: 3 entries OK';
  assert.deepEqual(notTakenOver(lines(saved, read), given, new Set([5, 7])), []);
  const failed = 'Log #6: ignoring conversion error: IO error: 000007.ldb: No space left on device';
  assert.deepEqual(notTakenOver(lines(failed, read), given, new Set([5])), [
    '000006.log: IO error: 000007.ldb: No space left on device',
  ]);
  assert.deepEqual(notTakenOver('', given, new Set([5])), ['000006.log: it was not converted to a table']);
  assert.deepEqual(notTakenOver(lines(saved, read), given, new Set([5])), [
    '000006.log: its table 7 was dropped',
  ]);
  assert.deepEqual(notTakenOver(lines(saved, read), given, new Set([7])), ['000005.ldb: it was dropped']);
  const damaged = { ...given, damaged: new Set([5]) };
  const some = 'Table #5: 3 entries Corruption: bad block type';
  assert.deepEqual(notTakenOver(lines(saved, some), damaged, new Set([5, 7])), []);
  assert.deepEqual(notTakenOver(lines(saved, some), damaged, new Set([7])), ['000005.ldb: it was dropped']);
  const none = 'Table #5: 0 entries Corruption: bad block type';
  assert.deepEqual(notTakenOver(lines(saved, none), damaged, new Set([7])), []);
  const disk = 'Table #5: 2 entries IO error: 000005.ldb: Input/output error';
  assert.deepEqual(notTakenOver(lines(saved, disk), given, new Set([5, 7])), [
    '000005.ldb: IO error: 000005.ldb: Input/output error',
  ]);
});

for (const ending of ['.log', '.ldb']) {
  test(`with one unreadable sector in a ${ending} file, all other records are recovered`, async () => {
    await using volume = await Volume.make();
    const folder = join(volume.data, 'metadata');
    {
      const db = new Level<string, unknown>(folder, { valueEncoding: 'json' });
      for (let i = 0; i < 2_000; i += 1)
        await db.put(`Z!${String(i).padStart(4, '0')}!${randomWord()}`, randomWord());
      await db.close();
    }
    if (ending === '.ldb') {
      const db = new Level<string, unknown>(folder, { valueEncoding: 'json' });
      await db.open();
      await db.close();
    }
    const path = await volume.file(ending);
    const { size } = await stat(path);
    assert.ok(size > 40_000);
    const done = await repairMetadata({ ...options(volume.data), read: unreadableAt(path, 20_000) });
    const { lost, damage } = (done as { report: { lost: string[]; damage: { what: string }[] } }).report;
    assert.ok(damage.some(({ what }) => what === 'cannot be read (EIO) at byte 16384, 4096 bytes'));
    assert.ok(
      lost.some((line) => /which cannot be read \(EIO\) at byte 16384, 4096 bytes: their names/.test(line)),
    );
    const db = new Level(folder);
    const count = (await db.keys({ gt: 'Z!', lt: 'Z"' }).all()).length;
    await db.close();
    assert.ok(count > 1_600 && count < 2_000, `${count} of 2000 are recovered`);
  });
}

test('an unreadable LevelDB manifest does not stop a repair', async () => {
  await using volume = await Volume.make();
  {
    await using metadata = await Metadata.open(join(volume.data, 'metadata'));
    await metadata.write([{ type: 'put', key: 'Z!kept', value: 1 }]);
  }
  await writeFile(join(volume.data, 'metadata/CURRENT'), 'nonsense');
  assert.equal((await repairMetadata({ ...options(volume.data), force: false })).kind, 'done');
  const db = new Level(join(volume.data, 'metadata'));
  assert.equal(await db.get('Z!kept'), '1');
  await db.close();
});
