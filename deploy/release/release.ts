import { execFile } from 'node:child_process';
import { createHash, type KeyObject } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { buildPackage } from '../debian/build.ts';
import { isRoot, makeBaseRoot } from '../image/base-root.ts';
import { packFolder } from '../image/pack-folder.ts';
import { assemble } from '../program/assemble.ts';
import { ARCHITECTURES, type Architecture } from '../program/needed-files.ts';
import { type LockFile, nodePackage, productionPackages } from '../program/production-packages.ts';
import { manuals } from './manuals.ts';
import { provenanceOf, STATEMENT, type Subject } from './provenance.ts';
import { releaseImage } from './release-image.ts';
import { sbomOf } from './sbom.ts';
import { envelopeOf, publicKeyOf, readKey, signatureOf } from './signature.ts';

/**
 * Makes a release of the last commit, in one folder: packages for Debian, an image for both architectures, sources,
 * list of contents, provenance, checksums, and signatures if there is a key. Same commit and same packages of Debian:
 * same bytes.
 *
 *   node deploy/release/release.ts DIR [--key FILE] [--arch amd64 --arch arm64] [--without-image] [--roots DIR]
 *
 * Needs npm, git, tar and dpkg-deb; for the image root, mmdebstrap, and qemu-user-static for the other architecture.
 * `--roots`: folder with the roots of the image by architecture, made before.
 */

const execute = promisify(execFile);
const OPTIONS = { maxBuffer: 1 << 26 };
const project = join(import.meta.dirname, '../..');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    key: { type: 'string' },
    arch: { type: 'string', multiple: true, default: Object.keys(ARCHITECTURES) },
    'without-image': { type: 'boolean', default: false },
    roots: { type: 'string' },
    repository: { type: 'string' },
    builder: { type: 'string', default: 'https://localhost/terrace-release' },
  },
});
const [folder] = positionals;
if (!folder) throw new Error('name the folder of the release: node deploy/release/release.ts DIR');
const architectures = values.arch.filter((name): name is Architecture => Object.hasOwn(ARCHITECTURES, name));
if (architectures.length < values.arch.length) throw new Error('--arch: write amd64 or arm64');
const key = values.key === undefined ? undefined : readKey(values.key);
const target = resolve(folder);
const work = await mkdtemp(join(tmpdir(), 'terrace-release-'));
try {
  await release(key);
} finally {
  await rm(work, { recursive: true, force: true });
}

async function release(signer: KeyObject | undefined): Promise<void> {
  await mkdir(target, { recursive: true });
  if ((await readdir(target)).length > 0) throw new Error(`${target} is not empty: name another folder`);
  const { stdout: head } = await execute('git', ['-C', project, 'rev-parse', 'HEAD']);
  const commit = head.trim();
  const source = join(work, 'source');
  await checkOut(commit, source);
  const { version } = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as { version: string };
  const name = `terrace-${version}`;
  say(`${name}, commit ${commit}`);
  await packFolder(source, { file: join(target, `${name}.tar.gz`), gzip: true, prefix: name });
  const npm = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
  await execute('npm', npm, { ...OPTIONS, cwd: source });
  await execute(join(source, 'node_modules/.bin/node'), ['page/build.ts'], { ...OPTIONS, cwd: source });

  const lock = JSON.parse(await readFile(join(source, 'package-lock.json'), 'utf8')) as LockFile;
  const programs = new Map<Architecture, string>();
  for (const architecture of architectures) {
    const installed = join(work, `installed-${architecture}`);
    await mkdir(installed);
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      await cp(join(source, file), join(installed, file));
    const of = ['--omit=dev', '--os=linux', `--cpu=${ARCHITECTURES[architecture]}`];
    await execute('npm', [...npm, ...of], { ...OPTIONS, cwd: installed });
    const program = join(work, `program-${architecture}`);
    await assemble({ project: source, installed, target: program, architecture });
    programs.set(architecture, program);
    say(`program for ${architecture}`);
  }

  const more = await manuals(source, join(work, 'manuals'));
  for (const [architecture, program] of programs) {
    const file = await buildPackage({ project: source, program, architecture, target, more });
    say(file);
  }
  const node = nodePackage(lock, architectures[0] as Architecture);
  const about = { version, commit, packages: productionPackages(lock), node };
  const file = join(target, `${name}.spdx.json`);
  if (values['without-image']) {
    await writeJson(file, sbomOf({ ...about, debian: [] }));
  } else {
    const roots = await rootsOf(architectures);
    await releaseImage({ ...{ about, roots, programs, work, target, name, signer, file }, provenance });
  }
  const subjects = await subjectsIn(target);
  const statement = Buffer.from(JSON.stringify(provenance(subjects)));
  await writeJson(
    join(target, `${name}.provenance.json`),
    signer ? envelopeOf(signer, STATEMENT, statement) : provenance(subjects),
  );
  const sums = (await subjectsIn(target)).map(({ name: of, sha256 }) => `${sha256}  ${of}\n`).join('');
  await writeFile(join(target, 'SHA256SUMS'), sums);
  if (signer) {
    await writeFile(join(target, 'SHA256SUMS.sig'), signatureOf(signer, Buffer.from(sums)));
    await writeFile(join(target, 'terrace.pub'), publicKeyOf(signer));
  }
  say(`${target} is complete${signer ? '' : '; nothing is signed, as there is no --key'}`);

  function provenance(of: Subject[]): object {
    const tools = { node: process.version, suite: 'bookworm' };
    const { builder, repository } = values;
    return provenanceOf({ subjects: of, commit, repository, architectures, tools, builder });
  }
}

/** Files of the commit alone: what else lies in the folder is no part of a release. */
async function checkOut(commit: string, to: string): Promise<void> {
  await mkdir(to);
  const archive = join(work, 'source.tar');
  await execute('git', ['-C', project, 'archive', '--format=tar', '--output', archive, commit]);
  await execute('tar', ['-C', to, '-xf', archive]);
}

async function rootsOf(of: readonly Architecture[]): Promise<Map<Architecture, string>> {
  const roots = new Map<Architecture, string>();
  for (const architecture of of) {
    const root = join(values.roots ? resolve(values.roots) : work, `root-${architecture}`);
    if (!(await isRoot(root))) await makeBaseRoot(root, architecture);
    roots.set(architecture, root);
    say(`root of the image for ${architecture}`);
  }
  return roots;
}

async function subjectsIn(of: string): Promise<Subject[]> {
  const subjects: Subject[] = [];
  for (const name of (await readdir(of)).sort()) {
    const hash = createHash('sha256');
    for await (const part of createReadStream(join(of, name))) hash.update(part as Buffer);
    subjects.push({ name, sha256: hash.digest('hex') });
  }
  return subjects;
}

function writeJson(path: string, document: object): Promise<void> {
  return writeFile(path, `${JSON.stringify(document, null, 2)}\n`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
