import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FILE_TIME } from '../program/assemble.ts';
import type { Architecture } from '../program/needed-files.ts';

/**
 * The root of the image, made of Debian's packages by mmdebstrap, as root: bash, coreutils, libraries, CA certificates
 * and nats-server, and no package manager. Of another architecture, its programs run by emulation (qemu-user-static).
 */

const execute = promisify(execFile);
const SUITE = 'bookworm';
const PACKAGES = ['ca-certificates', 'nats-server', 'libstdc++6'];
export const NATS_SERVER = 'usr/sbin/nats-server';

export type DebianPackage = { name: string; version: string };

/** @param folder is replaced */
export async function makeBaseRoot(folder: string, architecture: Architecture): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(FILE_TIME) };
  const options = ['--variant=minbase', `--architectures=${architecture}`, `--include=${PACKAGES.join()}`];
  await execute('mmdebstrap', [...options, SUITE, folder], { env, maxBuffer: 1 << 26 });
  const scripts = join(folder, 'tmp/image');
  await mkdir(scripts);
  for (const name of ['prepare-root', 'strip-root'])
    await copyFile(join(import.meta.dirname, name), join(scripts, name));
  const inside = (...parameters: string[]) => execute('chroot', [folder, 'sh', ...parameters]);
  await inside('/tmp/image/prepare-root');
  await inside('/tmp/image/strip-root', `/${NATS_SERVER}`);
  // The day on which the package made its user.
  const shadow = join(folder, 'etc/shadow');
  const text = await readFile(shadow, 'utf8');
  await writeFile(shadow, text.replace(/^([^:]*:[^:]*:)\d+:/gm, '$1:'));
  await utimes(folder, FILE_TIME, FILE_TIME);
}

/** The packages that are in a root, for its list of contents. */
export async function packagesIn(root: string): Promise<DebianPackage[]> {
  const status = await readFile(join(root, 'var/lib/dpkg/status'), 'utf8');
  return status
    .split('\n\n')
    .map((paragraph) => ({
      name: /^Package: (.+)$/m.exec(paragraph)?.[1] ?? '',
      version: /^Version: (.+)$/m.exec(paragraph)?.[1] ?? '',
    }))
    .filter(({ name }) => name !== '');
}

/** Whether the root has what a layer runs. */
export const isRoot = async (folder: string): Promise<boolean> =>
  (await readdir(join(folder, 'usr/sbin')).catch((): string[] => [])).includes('nats-server');
