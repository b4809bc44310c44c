import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chown, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mkdirRefusal, refusalOf } from '../../../cli/terminal/failure.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { program, run } from '../../support/terrace.ts';

/** Whatever a command fails with, it ends with one line: cause and remedy. */

const oneLine = (text: string) => text.split('\n').filter(Boolean);
const everyCommand: string[][] = [
  ['up', '--listen', '127.0.0.1:1'],
  ['init', '--bus', 'nats:4222'],
  ['token', 'create', 'ci', '--pull', '*'],
  ['child', 'create', 'line-1', '--repository', '*'],
];

test('a data volume that is mounted read-only: no command shows a trace', async (t) => {
  await using volume = await smallVolume(64);
  if (!volume) return t.skip('needs the right to mount');
  const made = join(volume.path, 'made');
  assert.equal((await run('token', 'create', 'ci', '--pull', '*', '--data', made)).code, 0);
  volume.readOnly();
  const deeper = join(volume.path, 'new/deeper');
  const commands = [
    ...everyCommand.map((command) => [...command, '--data', made]),
    ...everyCommand.slice(0, 2).map((command) => [...command, '--data', deeper]),
    ['gc', '--data', made],
  ];
  for (const command of commands) {
    const { text, code } = await run(...command);
    assert.notEqual(code, 0);
    assert.equal(oneLine(text).length, 1, text);
    assert.match(text, /^terrace: .*\(EROFS\): its file system is mounted read-only: mount it writable/);
  }
  assert.match((await run('status', '--data', made)).text, /^terrace: no Terrace runs on [^\n]+\n$/);
});

test('a user without a name, and a folder that is not his: chown is said, with his number', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root');
  const folder = await mkdtemp(join(tmpdir(), 'terrace-roots-'));
  for (const command of everyCommand) {
    const { status, stdout, stderr } = spawnSync(program, [...command, '--data', join(folder, 'data')], {
      uid: 54_321,
      gid: 54_321,
      encoding: 'utf8',
    });
    assert.notEqual(status, 0);
    assert.deepEqual([stdout, oneLine(stderr).length], ['', 1], stderr);
    assert.match(stderr, /\(EACCES\): use the account that owns it, or give it to this user: chown 54321 \//);
  }
  await rm(folder, { recursive: true });
});

test('a user without a name, and a folder of his own: he is known by his number', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root');
  const folder = await mkdtemp(join(tmpdir(), 'terrace-own-'));
  t.after(() => rm(folder, { recursive: true }));
  const user = { uid: 54_321, gid: 54_321 };
  await chown(folder, user.uid, user.gid);
  const { SUDO_USER: _, ...env } = process.env;
  const command = ['token', 'create', 'ci', '--pull', '*', '--data', join(folder, 'data')];
  const { status, stderr } = spawnSync(program, command, { ...user, env, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(await readFile(join(folder, 'data/log/audit.log'), 'utf8'), /"person":"uid-54321"/);
});

test('what is no refusal is one line too', async () => {
  for (const code of ['EROFS', 'EACCES', 'ENOSPC', 'ENOENT', 'EIO', 'EMFILE']) {
    const error = Object.assign(new Error(`${code}: no`), { code, path: '/data/x', syscall: 'open' });
    assert.match(refusalOf(error).message, new RegExp(`^[^\n]+ \\(${code}\\): [^\n]+$`));
  }
  for (const odd of [undefined, null, 'text', new TypeError('a\nb'), { code: 7 }]) {
    assert.match(refusalOf(odd).message, /^[^\n]+$/);
  }
  const missing = Object.assign(new Error('ENOENT: no'), { code: 'ENOENT', path: '/proc/none/deeper' });
  assert.equal((await mkdirRefusal('/proc/none/deeper', missing)).exitCode, 2);
});
