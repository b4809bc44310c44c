import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { Level } from 'level';
import { put } from '../../../services/storage/metadata/batch-changes.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { mayLack, readState } from '../../../services/storage/metadata/metadata-state.ts';
import { TestBus } from '../../support/bus.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { fault } from '../rig.ts';

/** Metadata is opened only if all that was stored can be read, and a refusal changes nothing. */

let root: string;
let folder: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'terrace-damage-'));
});
after(() => rm(root, { recursive: true, force: true }));
beforeEach(async () => {
  folder = join(await mkdtemp(join(root, 'volume-')), 'metadata');
  await using metadata = await Metadata.open(folder);
  for (let i = 0; i < 200; i += 1) await metadata.write(put.tag('app', `v${i}`, `sha256:${i}`));
});

const fileOf = async (ending: string): Promise<string> => {
  const names = await readdir(folder);
  return join(
    folder,
    names
      .filter((name) => name.endsWith(ending))
      .sort()
      .at(-1) as string,
  );
};
async function damage(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes.set([0xde, 0xad, 0xbe, 0xef], at);
  await writeFile(path, bytes);
}
async function contents(): Promise<Record<string, string>> {
  const names = (await readdir(folder)).filter((name) => !/^LO(CK|G)/.test(name));
  const texts = names.map(async (name) => [name, (await readFile(join(folder, name))).toString('base64')]);
  return Object.fromEntries(await Promise.all(texts));
}

test('with four damaged bytes in the log, the start is refused with cause and remedy, and nothing is changed', async () => {
  await damage(await fileOf('.log'), 4_000);
  const before = await contents();
  const refused = (error: Error) =>
    fault('volume-unusable')(error) &&
    /\(\d+\.log is damaged at byte \d+, \d+ bytes\)/.test(error.message) &&
    error.message.includes(`"terrace repair --data ${join(folder, '..')}"`);
  await assert.rejects(Metadata.open(folder), refused);
  await assert.rejects(Metadata.open(folder), refused);
  assert.deepEqual(await contents(), before);
});

test('a damaged or missing CURRENT and missing metadata are refused', async () => {
  await writeFile(join(folder, 'CURRENT'), 'MANIFEST-9999');
  await assert.rejects(Metadata.open(folder), /\(CURRENT is damaged\)/);
  await rm(join(folder, 'CURRENT'));
  await assert.rejects(Metadata.open(folder), /\(CURRENT is missing\)/);
  await rm(folder, { recursive: true });
  await assert.rejects(Metadata.open(folder), /has lost its metadata/);
  await assert.rejects(readdir(folder), { code: 'ENOENT' });
});

test('a volume of an earlier version that has only its content left is refused', async () => {
  const volume = join(root, 'earlier');
  await mkdir(join(volume, 'blobs/sha256/ab'), { recursive: true });
  await assert.rejects(Metadata.open(join(volume, 'metadata')), /has lost its metadata/);
});

test('metadata whose first start was interrupted is created again', async () => {
  const volume = join(root, 'begun');
  await mkdir(join(volume, 'metadata'), { recursive: true });
  await writeFile(join(volume, 'metadata/MANIFEST-000001'), 'half of');
  await (await Metadata.open(join(volume, 'metadata')))[Symbol.asyncDispose]();
});

test('a complete backup of a running layer is opened', async () => {
  const copy = join(root, 'backup/metadata');
  {
    await using metadata = await Metadata.open(folder);
    await metadata.write(put.tag('app', 'last', 'sha256:1'));
    await cp(folder, copy, { recursive: true });
    await cp(`${folder}.json`, `${copy}.json`);
  }
  await using restored = await Metadata.open(copy);
  assert.equal(await restored.tag('app', 'last'), 'sha256:1');
});

test('what a log may lack depends on how the metadata was closed', async () => {
  const closed = await readState(folder);
  assert.deepEqual([closed?.closed, closed?.made], [true, true]);
  const metadata = await Metadata.open(folder);
  const open = await readState(folder);
  assert.deepEqual([open?.closed, open?.made], [false, true]);
  await metadata[Symbol.asyncDispose]();
  const state = { boot: 'this', closed: false, made: true };
  assert.equal(mayLack(undefined, 'this', 'm1'), 'unsynced');
  assert.equal(mayLack(state, 'another', 'm1'), 'unsynced');
  assert.equal(mayLack(state, 'this', 'm1'), 'nothing');
  assert.equal(mayLack({ ...state, closed: true }, 'another', 'm1'), 'nothing');
  assert.equal(mayLack({ ...state, opening: 'm1' }, 'this', 'm1'), 'nothing');
  assert.equal(mayLack({ ...state, closed: true, opening: 'm1' }, 'this', 'm2'), 'unsynced');
});

test('a torn log of an earlier version is no damage, although this version closed the metadata before', async () => {
  const level = new Level<string, unknown>(folder, { valueEncoding: 'json' });
  await level.open();
  for (const tag of ['earlier', 'torn']) await level.put(`t!app!${tag}`, 'sha256:1');
  await level.close();
  const log = await fileOf('.log');
  const bytes = await readFile(log);
  await writeFile(log, Buffer.concat([bytes.subarray(0, -30), Buffer.alloc(30)]));
  await using metadata = await Metadata.open(folder);
  assert.equal(await metadata.tag('app', 'v1'), 'sha256:1');
});

test('a torn end of a log is no damage after a power loss, unless all of it was on the disk before', async () => {
  const log = await fileOf('.log');
  const bytes = await readFile(log);
  const torn = Buffer.concat([bytes.subarray(0, -30), Buffer.alloc(30)]);
  await writeFile(log, torn);
  await assert.rejects(Metadata.open(folder), fault('volume-unusable'), 'it was closed gracefully');
  await writeFile(`${folder}.json`, JSON.stringify({ boot: 'another', closed: false, made: true }));
  await using metadata = await Metadata.open(folder);
  for (let i = 0; i < 200; i += 1) assert.equal(await metadata.tag('app', `v${i}`), `sha256:${i}`);
});

test('the fault of a volume that is mounted read-only names the cause', async (t) => {
  await using volume = await smallVolume(32);
  if (!volume) return t.skip('needs the right to mount');
  const path = join(volume.path, 'metadata');
  await (await Metadata.open(path))[Symbol.asyncDispose]();
  volume.readOnly();
  const refused = (error: Error) =>
    fault('volume-unusable')(error) && /\(EROFS\).*mount it writable$/.test(error.message);
  await assert.rejects(Metadata.open(path), refused);
});

test('the process exits with 65 and one log line without a stack trace, for its supervisor', async () => {
  await damage(await fileOf('.log'), 4_000);
  await using server = await TestBus.start();
  const env = {
    ...process.env,
    TERRACE_DATA: join(folder, '..'),
    TERRACE_BUS: server.url,
    TERRACE_BUS_PASSWORD: 'secret-of-storage',
  };
  const main = join(import.meta.dirname, '../../../services/storage/main.ts');
  const { status, stdout, stderr } = await execute(main, env);
  assert.deepEqual([status, stderr], [65, '']);
  const fatal = stdout.split('\n').filter((line) => line.includes('"level":60'));
  assert.equal(fatal.length, 1);
  const { msg, code, err } = JSON.parse(fatal[0] as string);
  assert.match(msg, /^the metadata in \S+ is damaged/);
  assert.deepEqual([code, err], ['volume-unusable', undefined]);
});

async function execute(main: string, env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const [status] = await once(child, 'close');
  return { status, ...output };
}
