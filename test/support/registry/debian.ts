import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Files of Debian packages, for images with real content in them. */

export const execute = promisify(execFile);
export type Architecture = 'amd64' | 'arm64';

/** Packages are fetched once for all tests of this user. */
const CACHE = join(tmpdir(), `terrace-debian-${userInfo().uid}`);

const native = (): Architecture => (process.arch === 'arm64' ? 'arm64' : 'amd64');

/** Unpacks them into a folder, each as its package has it. */
export async function unpack(
  names: readonly string[],
  architecture: Architecture,
  into: string,
): Promise<void> {
  await mkdir(into, { recursive: true });
  try {
    for (const file of await download(names, architecture)) await execute('dpkg-deb', ['-x', file, into]);
  } catch (error) {
    await withoutNetwork(names, architecture, into, error as Error);
  }
}

/** Takes what is installed here; another architecture's files can only be played. */
async function withoutNetwork(
  names: readonly string[],
  architecture: Architecture,
  into: string,
  cause: Error,
) {
  process.emitWarning(`packages could not be downloaded, installed ones are used instead: ${cause.message}`);
  const here = names.map((name) => `dpkg -L ${name} 2>/dev/null`).join('; ');
  const copy = `(${here}) | while read -r f; do [ -f "$f" ] && echo ".$f"; done | tar -C / -c -T - | tar -C "$0" -x`;
  await execute('sh', ['-c', copy, into]);
  if (architecture !== native()) await writeFile(join(into, 'architecture'), `${architecture}\n`);
}

/** @returns paths of .deb files. The lists are private ones: nothing of the machine's own apt changes. */
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
      // A rename, since another test may fetch the same one now.
      if (name) await rename(join(folder, file), join(CACHE, `${name}_${architecture}.deb`));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return files;
}

const yesOrNo = [() => true, () => false] as const;
