import { chmod, copyFile, cp, lutimes, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ARCHITECTURES, type Architecture, isNeeded } from './needed-files.ts';
import { type LockFile, nodePackage, productionPackages } from './production-packages.ts';

/**
 * Assembles the program of a layer from a project in which `npm ci` has run, for the package and for the image:
 *
 *   runtime/       Node
 *   dependencies/  node_modules, of what is needed (needed-files.ts, production-packages.ts)
 *   page/          the page, bundled
 *   code/          Terrace itself
 *
 * Each of the folders is to be copied to the same place. They are apart as they change at different rates: an update of
 * Terrace that changes none of its dependencies brings new files in `code/` only. All files have the same time, so that
 * the same content gives the same bytes.
 *
 *   node deploy/program/assemble.ts --to DIR [--arch amd64|arm64] [--from PROJECT] [--installed NODE_MODULES_PARENT]
 */

/** Time of all files, in s since 1970: the same in all versions. */
export const FILE_TIME = 1_577_836_800;

const CODE = ['proto', 'services', 'cli'];
const PAGE = 'services/gateway/page/built';

export type AssembleOptions = {
  /** Folder of the project. */
  project: string;
  /** Folder that contains `node_modules` for the architecture; by default, the project. */
  installed?: string;
  /** It is replaced. */
  target: string;
  architecture: Architecture;
};

export async function assemble({ project, installed = project, target, architecture }: AssembleOptions) {
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as LockFile;
  await rm(target, { recursive: true, force: true });
  const node = nodePackage(lock, architecture);
  const runtime = join(target, 'runtime/bin/node');
  await copyTo(join(installed, node.folder, 'bin/node'), runtime);
  await chmod(runtime, 0o755);
  await copyTo(join(installed, node.folder, 'LICENSE'), join(target, 'runtime/bin/LICENSE.node'));
  for (const { folder } of productionPackages(lock)) {
    await copyNeeded(installed, folder, join(target, 'dependencies'), architecture);
  }
  for (const folder of CODE) {
    const isPage = (path: string) => path.startsWith(join(project, dirname(PAGE), 'built'));
    const filter = (path: string) => !isPage(path);
    await cp(join(project, folder), join(target, 'code', folder), { recursive: true, filter });
  }
  for (const file of ['package.json', 'LICENSE'])
    await copyTo(join(project, file), join(target, 'code', file));
  await cp(join(project, PAGE), join(target, 'page', PAGE), { recursive: true });
  await setTimes(target);
}

/** Files of one package, without the packages inside of it. */
async function copyNeeded(
  from: string,
  folder: string,
  to: string,
  architecture: Architecture,
): Promise<void> {
  const below = async (path: string): Promise<void> => {
    for (const entry of await readdir(join(from, path), { withFileTypes: true })) {
      const child = `${path}/${entry.name}`;
      if (entry.isDirectory()) {
        if (entry.name !== 'node_modules') await below(child);
      } else if (entry.isFile() && isNeeded(child.replace(/^node_modules\//, ''), architecture)) {
        await copyTo(join(from, child), join(to, child));
      }
    }
  };
  await below(folder);
}

async function copyTo(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
}

/** Also the permissions, as the umask of who assembles does not count: readable by all, executable as before. */
async function setTimes(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await setTimes(path);
    else if (entry.isFile()) await chmod(path, isProgram(path) ? 0o755 : 0o644);
    await lutimes(path, FILE_TIME, FILE_TIME);
  }
  await chmod(folder, 0o755);
  await lutimes(folder, FILE_TIME, FILE_TIME);
}

const isProgram = (path: string): boolean => /\/(bin\/node|cli\/terrace|cli\/health)$/.test(path);

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      to: { type: 'string' },
      from: { type: 'string', default: join(import.meta.dirname, '../..') },
      installed: { type: 'string' },
      arch: { type: 'string', default: 'amd64' },
    },
  });
  const { to, from, installed, arch } = values;
  if (!to || !Object.hasOwn(ARCHITECTURES, arch)) {
    throw new Error('write --to DIR, and --arch amd64 or arm64');
  }
  const project = resolve(from);
  await assemble({
    project,
    installed: resolve(installed ?? project),
    target: resolve(to),
    architecture: arch as Architecture,
  });
}
