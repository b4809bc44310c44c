import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Files of Debian packages, for images with real content. */

export const execute = promisify(execFile);
export type Architecture = 'amd64' | 'arm64';

/** Packages are downloaded once for all tests of this user. The folder outlives a run, other than temporary ones. */
const CACHE = join('/var/tmp', `terrace-debian-${userInfo().uid}`);

const native = (): Architecture => (process.arch === 'arm64' ? 'arm64' : 'amd64');

/** Downloads packages and unpacks their files into a folder. */
export async function unpack(
  names: readonly string[],
  architecture: Architecture,
  into: string,
): Promise<void> {
  await mkdir(into, { recursive: true });
  try {
    for (const file of await download(names, architecture)) await execute('dpkg-deb', ['-x', file, into]);
  } catch (error) {
    await copyInstalled(names, architecture, into, error as Error);
  }
}

/** Copies the files of the installed packages. For another architecture, it adds a file that makes them differ. */
async function copyInstalled(
  names: readonly string[],
  architecture: Architecture,
  into: string,
  cause: Error,
) {
  process.emitWarning(`packages could not be downloaded, installed ones are used instead: ${cause.message}`);
  const paths = names.map((name) => `dpkg -L ${name} 2>/dev/null`).join('; ');
  const copy = `(${paths}) | while read -r f; do [ -f "$f" ] && echo ".$f"; done | tar -C / -c -T - | tar -C "$0" -x`;
  await execute('sh', ['-c', copy, into]);
  if (architecture !== native()) await writeFile(join(into, 'architecture'), `${architecture}\n`);
}

/** @returns paths of .deb files. apt gets lists and a cache of its own: those of the machine do not change. */
async function download(names: readonly string[], architecture: Architecture): Promise<string[]> {
  await mkdir(CACHE, { recursive: true });
  const files = names.map((name) => join(CACHE, `${name}_${architecture}.deb`));
  const present = await Promise.all(files.map((file) => access(file).then(...yesOrNo)));
  const missing = names.filter((_, index) => !present[index]);
  if (missing.length === 0) return files;
  const folder = await mkdtemp(join(CACHE, 'download-'));
  try {
    for (const name of ['lists/partial', 'archives/partial'])
      await mkdir(join(folder, name), { recursive: true });
    const settings = {
      'Dir::State::lists': join(folder, 'lists'),
      'Dir::State::status': '/dev/null',
      'Dir::Cache': folder,
      'APT::Architecture': architecture,
      'APT::Architectures': architecture,
      'APT::Sandbox::User': userInfo().username,
      'Acquire::Retries': '2',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    await execute('apt-get', [...options, '-qq', 'update']);
    await execute('apt-get', [...options, '-qq', 'download', ...missing], { cwd: folder });
    for (const file of await readdir(folder)) {
      const [, name] = /^([^_]+)_.*\.deb$/.exec(file) ?? [];
      // By rename, since another test may be downloading the same package.
      if (name) await rename(join(folder, file), join(CACHE, `${name}_${architecture}.deb`));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return files;
}

const yesOrNo = [() => true, () => false] as const;
