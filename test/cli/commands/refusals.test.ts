import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chown, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mkdirRefusal, refusalOf } from '../../../cli/terminal/failure.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { program, runCommand } from '../../support/terrace.ts';

/** A command that fails ends with one line: cause and remedy. */

const linesOf = (text: string) => text.split('\n').filter(Boolean);
const everyCommand: string[][] = [
  ['up', '--listen', '127.0.0.1:1'],
  ['init', '--bus', 'nats:4222'],
  ['token', 'create', 'ci', '--pull', '*'],
  ['child', 'create', 'line-1', '--repository', '*'],
];

test('on a read-only data volume, no command prints a stack trace', async (t) => {
  await using volume = await smallVolume(64);
  if (!volume) return t.skip('needs the right to mount');
  const existing = join(volume.path, 'existing');
  assert.equal((await runCommand('token', 'create', 'ci', '--pull', '*', '--data', existing)).code, 0);
  volume.readOnly();
  const absent = join(volume.path, 'new/deeper');
  const commands = [
    ...everyCommand.map((command) => [...command, '--data', existing]),
    ...everyCommand.slice(0, 2).map((command) => [...command, '--data', absent]),
    ['gc', '--data', existing],
  ];
  for (const command of commands) {
    const { text, code } = await runCommand(...command);
    assert.notEqual(code, 0);
    assert.equal(linesOf(text).length, 1, text);
    assert.match(text, /^terrace: .*\(EROFS\): its file system is mounted read-only: mount it writable/);
  }
  assert.match(
    (await runCommandHere('status', '--data', existing)).text,
    /^terrace: no Terrace runs on [^\n]+\n$/,
  );
});

test('for a user without a name and a folder of another user, the remedy is chown with the uid', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root');
  const folder = await mkdtemp(join(tmpdir(), 'terrace-roots-'));
  for (const command of everyCommand) {
    const { status, stdout, stderr } = spawnSync(program, [...command, '--data', join(folder, 'data')], {
      uid: 54_321,
      gid: 54_321,
      encoding: 'utf8',
    });
    assert.notEqual(status, 0);
    assert.deepEqual([stdout, linesOf(stderr).length], ['', 1], stderr);
    assert.match(stderr, /\(EACCES\): use the account that owns it, or give it to this user: chown 54321 \//);
  }
  await rm(folder, { recursive: true });
});

test('a user without a name is recorded by the uid', async (t) => {
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

test('other errors are one line, too', async () => {
  for (const code of ['EROFS', 'EACCES', 'ENOSPC', 'ENOENT', 'EIO', 'EMFILE']) {
    const error = Object.assign(new Error(`${code}: no`), { code, path: '/data/x', syscall: 'open' });
    assert.match(refusalOf(error).message, new RegExp(`^[^\n]+ \\(${code}\\): [^\n]+$`));
  }
  for (const unusual of [undefined, null, 'text', new TypeError('a\nb'), { code: 7 }]) {
    assert.match(refusalOf(unusual).message, /^[^\n]+$/);
  }
  const missing = Object.assign(new Error('ENOENT: no'), { code: 'ENOENT', path: '/proc/none/deeper' });
  assert.equal((await mkdirRefusal('/proc/none/deeper', missing)).exitCode, 2);
});
