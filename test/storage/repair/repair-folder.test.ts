import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { put } from '../../../services/storage/metadata/batch-changes.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { readAt } from '../../../services/storage/repair/copy.ts';
import { type RepairOptions, repairMetadata } from '../../../services/storage/repair/repair-metadata.ts';
import { fault } from '../rig.ts';

/** New metadata replaces the old metadata only if no process used that meanwhile, and the old metadata is not lost. */

const MAIN = join(import.meta.dirname, '../../../services/storage/repair/main.ts');
const canTrace = spawnSync('strace', ['-f', '-e', 'trace=none', '-o', '/dev/null', 'true']).status === 0;

let root: string;
let data: string;
let options: RepairOptions;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'terrace-place-'));
});
after(() => rm(root, { recursive: true, force: true }));
beforeEach(async () => {
  data = await mkdtemp(join(root, 'volume-'));
  options = { data, hints: [], open: true, force: true, now: new Date(0) };
  await using metadata = await Metadata.open(join(data, 'metadata'));
  await metadata.write(put.tag('app', 'v1', `sha256:${'1'.repeat(64)}`));
});

/** Without the files that LevelDB writes whenever it opens a folder. */
const namesOf = async (folder: string) =>
  (await readdir(join(data, folder))).filter((name) => !name.startsWith('LOG')).sort();

test('nothing is deleted if it is unknown whether the folder of a repair has the old metadata', async () => {
  const folder = join(data, 'repair/2029-01-01');
  await mkdir(join(folder, 'rebuilt'), { recursive: true });
  await writeFile(join(folder, 'report.txt'), 'kept');
  // A link to itself can't be read, like a folder on a disk with errors.
  await symlink('metadata', join(folder, 'metadata'));
  await assert.rejects(repairMetadata(options), { code: 'ELOOP' });
  assert.deepEqual(await namesOf('repair/2029-01-01'), ['metadata', 'rebuilt', 'report.txt']);
});

test('metadata that another process wrote during its repair stays, and the repair fails', async () => {
  const before = await namesOf('metadata');
  const log = join(data, 'metadata', before.find((name) => name.endsWith('.log')) as string);
  let wrote = false;
  const read: typeof readAt = async (file, buffer, position) => {
    const count = await readAt(file, buffer, position);
    if (!wrote) await appendFile(log, 'more');
    wrote = true;
    return count;
  };
  const used = (error: Error) => fault('busy')(error) && /stop the layer, then repair/.test(error.message);
  await assert.rejects(repairMetadata({ ...options, read }), used);
  assert.deepEqual(await namesOf('metadata'), before);
  assert.match(await readFile(log, 'latin1'), /more$/);
  assert.deepEqual(await namesOf('repair'), []);
});

test('metadata that another process has open at the end of its repair stays', async () => {
  const stack = new AsyncDisposableStack();
  const read: typeof readAt = async (file, buffer, position) => {
    const count = await readAt(file, buffer, position);
    if (!opened) stack.use(await Metadata.open(join(data, 'metadata')));
    opened = true;
    return count;
  };
  let opened = false;
  await assert.rejects(repairMetadata({ ...options, read }), fault('busy'));
  assert.deepEqual(await namesOf('repair'), []);
  await stack.disposeAsync();
});

test('the process of a repair ends when its parent process ends', async () => {
  const child = spawn(process.execPath, [MAIN], { stdio: ['pipe', 'pipe', 'inherit', 'ipc'] });
  child.disconnect();
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
  await stat(join(data, 'metadata/CURRENT'));
});

test('the folder of a repair is synced before the old metadata is moved there', {
  skip: !canTrace && 'needs strace',
}, async () => {
  const trace = join(data, 'trace');
  const args = ['-f', '-y', '-s', '300', '-e', 'trace=fsync,rename', '-o', trace, process.execPath, MAIN];
  const child = spawn('strace', args, { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.end(JSON.stringify({ data, hints: [], open: true, force: true }));
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  const calls = (await readFile(trace, 'utf8')).split('\n');
  const moved = calls.findIndex((call) => call.includes(`rename("${data}/metadata", `));
  assert.ok(moved > 0);
  for (const folder of [data, join(data, 'repair')]) {
    const synced = calls.findIndex((call) => call.includes('fsync(') && call.includes(`<${folder}>`));
    assert.ok(synced >= 0 && synced < moved, `${folder} is synced`);
  }
});
