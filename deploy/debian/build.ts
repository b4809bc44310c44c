import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmod,
  copyFile,
  cp,
  lutimes,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { FILE_TIME } from '../program/assemble.ts';
import type { Architecture } from '../program/needed-files.ts';
import { type LockFile, nodePackage, productionPackages } from '../program/production-packages.ts';
import { changelog, control, copyright, debianVersion } from './control-files.ts';

/**
 * Builds the Debian package of an assembled program (deploy/program/assemble.ts): with dpkg-deb alone, and the same
 * bytes for the same program.
 *
 *   terrace            /usr/bin/terrace: works on the service's layer, as its user
 *   terrace.yaml       /etc/terrace/terrace.yaml; terrace.default: /etc/default/terrace
 *   terrace.sysusers   the user, for systems that make them of files
 *   terrace.lintian    what a check of the package finds, and is right
 *   scripts/           maintainer scripts
 *   control-files.ts   control, changelog, copyright
 *   ../systemd/terrace.service   the unit
 */

const execute = promisify(execFile);
const here = import.meta.dirname;

export type BuildOptions = {
  /** Folder of the project: version, licence, documents. */
  project: string;
  /** Folder of the assembled program. */
  program: string;
  architecture: Architecture;
  /** Folder for the package. */
  target: string;
  /** More files by their place in the package, such as manual pages. */
  more?: Record<string, string | Uint8Array>;
  /** xz takes a minute; `none` is for tests. */
  compression?: 'xz' | 'none';
};

/** @returns path of the package */
export async function buildPackage(options: BuildOptions): Promise<string> {
  const { project, program, architecture, target, more = {}, compression = 'xz' } = options;
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as LockFile;
  const { version: upstream } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'));
  const version = debianVersion(upstream);
  const work = await mkdtemp(join(tmpdir(), 'terrace-deb-'));
  try {
    const root = join(work, 'root');
    const lib = join(root, 'usr/lib/terrace');
    for (const part of ['runtime', 'dependencies', 'page', 'code']) {
      await cp(join(program, part), lib, { recursive: true, preserveTimestamps: true });
    }
    const put = async (path: string, content: string | Uint8Array, mode = 0o644) => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content, { mode });
    };
    const copy = async (from: string, to: string, mode = 0o644) => put(to, await readFile(from), mode);
    await copy(join(here, 'terrace'), 'usr/bin/terrace', 0o755);
    await copy(join(here, 'terrace.yaml'), 'etc/terrace/terrace.yaml');
    await copy(join(here, 'terrace.default'), 'etc/default/terrace');
    await copy(join(here, 'terrace.sysusers'), 'usr/lib/sysusers.d/terrace.conf');
    await copy(join(here, '../systemd/terrace.service'), 'lib/systemd/system/terrace.service');
    await copy(join(here, 'terrace.lintian'), 'usr/share/lintian/overrides/terrace');
    const documents = 'usr/share/doc/terrace';
    await copy(join(project, 'docs/guides/install.md'), `${documents}/install.md`);
    await copy(join(project, 'docs/reference/configuration.md'), `${documents}/configuration.md`);
    await copy(join(project, 'CHANGELOG.md'), `${documents}/CHANGELOG.md`);
    await put(`${documents}/changelog.gz`, gzipSync(changelog(version, FILE_TIME), { level: 9 }));
    const licence = await readFile(join(project, 'LICENSE'), 'utf8');
    const packages = productionPackages(lock);
    await put(
      `${documents}/copyright`,
      copyright(licence, packages, nodePackage(lock, architecture).version),
    );
    for (const [path, content] of Object.entries(more)) await put(path, content);

    const files = await listFiles(root);
    await mkdir(join(root, 'DEBIAN'));
    await writeFile(join(root, 'DEBIAN/md5sums'), files.map(({ path, md5 }) => `${md5}  ${path}\n`).join(''));
    await writeFile(join(root, 'DEBIAN/conffiles'), '/etc/default/terrace\n/etc/terrace/terrace.yaml\n');
    const kilobytes = files.reduce((sum, { size }) => sum + Math.ceil(size / 1024), 0);
    await writeFile(join(root, 'DEBIAN/control'), control(version, architecture, kilobytes));
    for (const name of await readdir(join(here, 'scripts'))) {
      const text = await readFile(join(here, 'scripts', name), 'utf8');
      await writeFile(join(root, 'DEBIAN', basename(name)), text.replaceAll('#VERSION#', version), {
        mode: 0o755,
      });
    }
    await normalize(root);

    await mkdir(target, { recursive: true });
    const file = join(target, `terrace_${version}_${architecture}.deb`);
    const built = join(work, 'terrace.deb');
    const parameters = ['--root-owner-group', `-Z${compression}`, '--build', root, built];
    await execute('dpkg-deb', parameters, { env: { ...process.env, SOURCE_DATE_EPOCH: String(FILE_TIME) } });
    await copyFile(built, file);
    return file;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

type PackagedFile = { path: string; size: number; md5: string };

async function listFiles(root: string): Promise<PackagedFile[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
  const files: PackagedFile[] = [];
  for (const path of paths) {
    const content = await readFile(join(root, path));
    files.push({ path, size: content.byteLength, md5: createHash('md5').update(content).digest('hex') });
  }
  return files;
}

/** One time for all, and files that all may read: the umask does not count. */
async function normalize(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await normalize(path);
      continue;
    }
    const isProgram = ((await stat(path)).mode & 0o100) !== 0;
    await chmod(path, isProgram ? 0o755 : 0o644);
    await lutimes(path, FILE_TIME, FILE_TIME);
  }
  await chmod(folder, 0o755);
  await lutimes(folder, FILE_TIME, FILE_TIME);
}
