import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isOtherFolder } from '#proto/volume/folder-identity.ts';
import { dataFolder, isCopy } from '../../../cli/data/data-folder.ts';
import { claimPid, livingPid, writePid } from '../../../cli/data/pid-file.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { copyLive } from '../../support/live-copy.ts';
import { getManifest, pushImage } from '../../support/registry/image.ts';
import { runCommand } from '../../support/terrace.ts';

/** A data folder that was copied while its layer runs (`cp -a`): no command on the copy reaches the layer. */

let layer: TestLayer;
let folder: string;
let copy: string;
before(async () => {
  layer = await testLayer({ compact: 'hosted', name: 'original' });
  await pushImage(layer.host, 'app', 'v1');
  folder = await mkdtemp(join(tmpdir(), 'terrace-copy-'));
  copy = join(folder, 'copy');
  await copyLive(layer.data, copy);
});
after(async () => {
  await layer?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const tokensOf = async (data: string): Promise<{ name: string }[]> =>
  JSON.parse((await runCommandHere('token', 'list', '--json', '--data', data)).stdout);

test('commands that need a running layer do not find one on the copy', async () => {
  for (const command of ['status', 'health', 'events', 'sync']) {
    const run = command === 'health' ? runCommand : runCommandHere;
    const { code, text } = await run(command, '--data', copy);
    assert.equal(code, command === 'health' ? 1 : 69);
    assert.match(text, /^terrace: no Terrace runs on \S+, which is a copy of a data folder/);
  }
  assert.match((await runCommandHere('status', '--data', layer.data)).text, /^Layer "original"/);
});

test('a token that is created on the copy does not exist at the layer', async () => {
  assert.equal(
    (await runCommandHere('token', 'create', 'of-the-copy', '--pull', '*', '--data', copy)).code,
    0,
  );
  assert.deepEqual(
    (await tokensOf(copy)).map(({ name }) => name),
    ['of-the-copy'],
  );
  assert.deepEqual(await tokensOf(layer.data), []);
});

test('the copy starts while the layer runs, with a bus of its own', async () => {
  await using second = await testLayer({ compact: 'hosted', name: 'second', data: copy });
  assert.ok(second.terminal.some((line) => /data folder was copied or moved/.test(line)));
  assert.match((await runCommandHere('status', '--data', copy)).text, /^Layer "second"/);
  assert.match((await runCommandHere('status', '--data', layer.data)).text, /^Layer "original"/);
  const [original, copied] = await Promise.all(
    [layer.data, copy].map((data) => readFile(dataFolder(data).password('operator'), 'utf8')),
  );
  assert.notEqual(original, copied);
  await second.stop();
  assert.equal(isCopy(dataFolder(copy)), false, 'from now on it is a layer of its own');
  assert.ok(await getManifest(layer.host, 'app', 'v1'));
});

test('a data folder that was renamed is not a copy', async () => {
  const renamed = join(folder, 'renamed');
  await rename(copy, renamed);
  assert.equal(isCopy(dataFolder(renamed)), false);
});

test('a pid file is valid in the folder that it was written in, and in no copy of it', async () => {
  const [original, copied] = [join(folder, 'original'), join(folder, 'copied')];
  await copyLive(join(layer.data, 'log'), original);
  const child = spawn('/bin/sleep', ['60']);
  writePid(join(original, 'pid'), child.pid as number);
  await cp(original, copied, { recursive: true, preserveTimestamps: true });
  assert.equal(livingPid(join(original, 'pid')), child.pid);
  assert.deepEqual(claimPid(join(original, 'pid')), { held: child.pid });
  assert.equal(livingPid(join(copied, 'pid')), undefined);
  assert.deepEqual(claimPid(join(copied, 'pid')), { stale: true });
  // A folder that is renamed while the process runs is still the same.
  await rename(original, `${original}-renamed`);
  assert.equal(livingPid(join(`${original}-renamed`, 'pid')), child.pid);
  child.kill('SIGKILL');
});

const identities: [name: string, recorded: string, now: string, other: boolean][] = [
  ['the same folder', 'boot-1 64:77', 'boot-1 64:77', false],
  [
    'the same folder after a restart of the machine, with other device numbers',
    'boot-1 64:77',
    'boot-2 65:77',
    false,
  ],
  ['the same folder at another machine, over the network', 'boot-1 64:77', 'boot-9 12:77', false],
  ['a copy in the same file system', 'boot-1 64:77', 'boot-1 64:78', true],
  ['a copy in another file system', 'boot-1 64:77', 'boot-1 65:1023', true],
  ['a snapshot of the file system, mounted at the same time', 'boot-1 64:77', 'boot-1 65:77', true],
  ['a restored backup', 'boot-1 64:77', 'boot-2 64:78', true],
  ['no valid record', 'nonsense', 'boot-1 64:77', false],
];
for (const [name, recorded, now, other] of identities) {
  test(`identity of a folder: ${name}`, () => assert.equal(isOtherFolder(recorded, now), other));
}
