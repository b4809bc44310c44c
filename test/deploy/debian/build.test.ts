import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { parse } from 'yaml';
import { resolveConfiguration } from '../../../cli/input/options.ts';
import { buildPackage } from '../../../deploy/debian/build.ts';
import { debianVersion } from '../../../deploy/debian/control-files.ts';

/** The Debian package, of a program with few files. */

const MANUAL = '.TH terrace 1\n.SH NAME\nterrace \\- container registry\n';
const project = join(import.meta.dirname, '../../..');
let folder: string;
let file: string;
let program: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-package-'));
  program = join(folder, 'program');
  const page = 'services/gateway/page/built/index.html';
  for (const [path, text] of [
    ['runtime/bin/node', '#!/bin/sh\n'],
    ['dependencies/node_modules/a/index.js', ''],
    [`page/${page}`, '<!doctype html>'],
    ['code/cli/terrace.ts', ''],
  ] as const) {
    await mkdir(dirname(join(program, path)), { recursive: true });
    await writeFile(join(program, path), text, { mode: path.startsWith('runtime') ? 0o755 : 0o644 });
  }
  file = await build('first');
});
after(() => rm(folder, { recursive: true, force: true }));

const build = (name: string) =>
  buildPackage({
    ...{ project, program, architecture: 'amd64', target: join(folder, name), compression: 'none' },
    more: { 'usr/share/man/man1/terrace.1.gz': gzipSync(MANUAL, { level: 9 }) },
  });
const unpacked = () => {
  const root = join(folder, 'root');
  if (!existsSync(root)) execFileSync('dpkg-deb', ['--raw-extract', file, root]);
  return root;
};
const field = (name: string) =>
  execFileSync('dpkg-deb', ['--field', file, name], { encoding: 'utf8' }).trim();
const hashOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

test('the package is the same in each build', async () => {
  const umask = process.umask(0o077);
  try {
    assert.equal(hashOf(await build('second')), hashOf(file));
  } finally {
    process.umask(umask);
  }
});

test('it has version, architecture and dependencies, and all files belong to root', () => {
  const { version } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));
  assert.deepEqual([field('Version'), field('Architecture')], [debianVersion(version), 'amd64']);
  assert.match(field('Depends'), /nats-server/);
  const list = execFileSync('dpkg-deb', ['--contents', file], { encoding: 'utf8', maxBuffer: 1 << 26 });
  for (const line of list.trim().split('\n')) assert.match(line, /^[-dl][-rwx]{9} root\/root /);
  for (const path of [
    'usr/bin/terrace',
    'usr/lib/terrace/cli/terrace.ts',
    'usr/lib/terrace/services/gateway/page/built/index.html',
    'lib/systemd/system/terrace.service',
    'etc/terrace/terrace.yaml',
    'usr/share/doc/terrace/copyright',
    'usr/share/man/man1/terrace.1.gz',
  ]) {
    assert.match(list, new RegExp(` \\./${path.replaceAll('.', '\\.')}\\n`), path);
  }
});

test('md5sums has each file, and configuration files are marked as such', () => {
  const root = unpacked();
  execFileSync('md5sum', ['--quiet', '--check', 'DEBIAN/md5sums'], { cwd: root });
  const conffiles = readFileSync(join(root, 'DEBIAN/conffiles'), 'utf8').trim().split('\n');
  assert.deepEqual(conffiles, ['/etc/default/terrace', '/etc/terrace/terrace.yaml']);
});

test('the configuration of the package is valid, also with its comments taken away', () => {
  const text = readFileSync(join(unpacked(), 'etc/terrace/terrace.yaml'), 'utf8');
  const resolved = resolveConfiguration({ data: '/d' }, {}, text, { readable: () => true });
  assert.equal(resolved.configuration.listen, '127.0.0.1:5000');
  const opened = text.replace(/^listen: .*$/m, '').replace(/^#(?! )/gm, '');
  assert.deepEqual(Object.keys(parse(opened)), ['name', 'listen', 'tls', 'parent', 'repositories', 'mode']);
  const { configuration } = resolveConfiguration({ data: '/d' }, {}, opened, { readable: () => true });
  assert.equal(configuration.listen, '0.0.0.0:5000');
});

test('the scripts of the package are valid shell', () => {
  for (const script of ['DEBIAN/postinst', 'DEBIAN/prerm', 'DEBIAN/postrm', 'usr/bin/terrace']) {
    execFileSync('sh', ['-n', join(unpacked(), script)]);
  }
});

test('the command becomes the user of the service on its layer, however it is named', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-command-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const data = join(folder, 'data');
  await mkdir(data);
  const script = readFileSync(join(unpacked(), 'usr/bin/terrace'), 'utf8')
    .replace('data=/var/lib/terrace', `data=${data}`)
    .replace('program=/usr/lib/terrace/cli/terrace', `program=${join(folder, 'program')}`);
  const programs = { script, program: '#!/bin/sh\necho root\n', setpriv: '#!/bin/sh\necho terrace\n' };
  for (const [name, text] of Object.entries({ ...programs, id: '#!/bin/sh\necho 0\n' }))
    await writeFile(join(folder, name), text, { mode: 0o755 });
  const env = { PATH: `${folder}:${process.env.PATH}` };
  const runAs = (...parameters: string[]) =>
    execFileSync(join(folder, 'script'), parameters, { env, encoding: 'utf8' }).trim();
  assert.equal(runAs('status'), 'terrace');
  assert.equal(runAs('restore', '/backup', '--data', data), 'terrace');
  assert.equal(runAs('restore', '/backup', `--data=${data}/`), 'terrace');
  assert.equal(runAs('restore', '/backup', '--data', '/other'), 'root');
  assert.equal(runAs('restore', '--data=/other', '/backup'), 'root');
});

test('a check of the package by Debian finds nothing', { skip: !installed('lintian') }, () => {
  const tags = 'uses-no-compression-for-data-tarball,uses-no-compression-for-control-tarball';
  const { stdout } = spawnSync('lintian', ['--allow-root', '--suppress-tags', tags, file], {
    encoding: 'utf8',
  });
  assert.deepEqual(stdout.match(/^[EW]: .*/gm) ?? [], []);
});

test('the unit gives the service no more than it needs', { skip: !installed('systemd-analyze') }, () => {
  const unit = join(unpacked(), 'lib/systemd/system/terrace.service');
  const parameters = ['security', '--offline=true', '--threshold=20', unit];
  const { status, stdout } = spawnSync('systemd-analyze', parameters, { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
  // Else a command that holds the data folder, in another user namespace, would look dead to the service.
  assert.doesNotMatch(readFileSync(unit, 'utf8'), /^(ProtectProc|ProcSubset)=/m);
});

test('a pre-release sorts before its release', () => {
  assert.equal(debianVersion('1.2.0-rc.1'), '1.2.0~rc.1');
  assert.equal(debianVersion('1.2.0'), '1.2.0');
});

function installed(name: string): boolean {
  return ['/usr/bin', '/bin'].some((place) => existsSync(join(place, name)));
}
