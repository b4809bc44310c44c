import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { TargetFolder, targetFault } from '../../../services/storage/archive/export/target-folder.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { until } from '../../support/until.ts';
import { random } from '../rig.ts';
import { pushBlobs, TwoSides } from './two-sides.ts';

const faults: [code: string, fault: string, expected: RegExp][] = [
  ['ENOSPC', 'no-space', /is full \(ENOSPC\): use a larger disk/],
  ['EFBIG', 'archive-invalid', /takes no files of this size \(EFBIG\): use a smaller --max-size/],
  ['EROFS', 'archive-invalid', /can't be written \(EROFS\): mount it writable/],
  ['ENOENT', 'archive-invalid', /was removed, or its disk is failing \(ENOENT\): nothing of this set counts/],
  ['EIO', 'archive-invalid', /was removed, or its disk is failing \(EIO\)/],
];
for (const [code, fault, expected] of faults) {
  test(`an error ${code} of the disk becomes a sentence with a remedy`, () => {
    const error = targetFault(Object.assign(new Error(code), { code }), '/media/stick');
    assert.ok(Fault.is(error) && error.code === fault && expected.test(error.message), String(error));
  });
}

test('an error of another kind stays as it is', () => {
  const own = new Fault('busy', 'wait');
  const other = new TypeError('x');
  assert.deepEqual([targetFault(own, '/a'), targetFault(other, '/a')], [own, other]);
});

test('files of a set without a list are deleted, those of a set with one are not', async () => {
  const path = await mkdtemp(join(tmpdir(), 'terrace-target-'));
  try {
    const folder = await TargetFolder.open(path);
    for (const name of [
      'a-part-001.tar',
      'a-index.json',
      'terrace-n-s-000002-list.json',
      'terrace-n-s-000002-part-001.tar',
    ]) {
      await folder.put(name, Buffer.from('x'));
    }
    await folder.prepare('a-list.json', Buffer.from('x'));
    await folder.clear('a');
    await folder.clear('terrace-n-s-000002');
    assert.deepEqual((await readdir(path)).sort(), [
      'terrace-n-s-000002-list.json',
      'terrace-n-s-000002-part-001.tar',
    ]);
    assert.equal(await folder.highestNumber('n', 's'), 2);
    await assert.rejects(folder.mustHaveRoom(Number.MAX_SAFE_INTEGER), /use a larger disk/);
  } finally {
    await rm(path, { recursive: true });
  }
});

test('links on a disk are not followed to files of this machine', async () => {
  const path = await mkdtemp(join(tmpdir(), 'terrace-target-'));
  try {
    const folder = await TargetFolder.open(path);
    const own = join(path, 'own');
    await writeFile(own, 'data');
    await symlink(own, folder.file('terrace-target.txt'));
    await symlink(own, folder.file('terrace-target.txt.unfinished'));
    await symlink(own, folder.file('a-list.json.unfinished'));
    assert.equal(await folder.target(), undefined);
    await folder.setTarget('south');
    await folder.prepare('a-list.json', Buffer.from('x'));
    assert.equal(await folder.target(), 'south');
    assert.equal(await readFile(own, 'utf8'), 'data');
  } finally {
    await rm(path, { recursive: true });
  }
});

test('a folder with the last number that there is gets no further set, and the remedy is named', async () => {
  await using sides = await TwoSides.open();
  await pushBlobs(sides.north, 'app', '1', [random(1_000)]);
  const last = 'terrace-north-south-999999-list.json';
  await writeFile(join(sides.folder, last), '');
  await assert.rejects(sides.export(), /end at 999999: run "terrace export forget south"/);
  assert.deepEqual(await sides.files(), [last]);
});

test('a disk that is too small is named before anything is written, one that others fill meanwhile after it', async (context) => {
  await using volume = await smallVolume(3);
  if (!volume) return context.skip('this process may not mount');
  await using sides = await TwoSides.open();
  await pushBlobs(sides.north, 'app', '1', [random(4_000_000)]);
  await assert.rejects(sides.export({ folder: volume.path }), /free, the set needs .*: use a larger disk/);
  assert.deepEqual(await readdir(volume.path), []);
  await pushBlobs(sides.north, 'app', '1', [random(1_000_000)]);
  const exporting = sides.export({ folder: volume.path });
  await until(async () => (await readdir(volume.path)).length > 0, 'a part is being written');
  // Both write: the filler may fail, too.
  await volume.fill(0).catch(() => {});
  const { name } = await exporting.catch((error) => {
    assert.match(String(error), /is full \(ENOSPC\)/);
    return { name: undefined };
  });
  await rm(join(volume.path, 'filler'), { force: true });
  if (name === undefined) assert.ok(!(await readdir(volume.path)).some((file) => file.endsWith('list.json')));
  await sides.export({ folder: volume.path, always: true });
  assert.equal((await sides.import({ folder: volume.path })).outcome, 'imported');
});
