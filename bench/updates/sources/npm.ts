import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../run-program.ts';
import { made } from './made.ts';

/** Nothing that was published later is installed: what a version range stands for remains the same. */
const BEFORE = '2026-11-29';
const QUIET = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

/** The files of one version of a package. @returns path of a folder */
export const npmPackage = (folder: string, name: string, version: string): Promise<string> =>
  made(join(folder, `${name.replace(/\W+/g, '-')}-${version}`), async (part) => {
    await mkdir(part, { recursive: true });
    const [archive = ''] = (
      await run('npm', ['pack', '--silent', `${name}@${version}`], { cwd: part })
    ).split('\n');
    await run('tar', ['-xzf', archive, '--strip-components=1'], { cwd: part });
    await rm(join(part, archive));
  });

/**
 * An application: `package.json`, its lock file, and `node_modules` as `npm ci` fills it, with the times of today.
 * @param bumped replaces versions of `dependencies`, as someone does who raises some of them: the others stay as they
 *   are in the lock file
 * @returns path of a folder
 */
export const npmApplication = (
  folder: string,
  name: string,
  dependencies: Record<string, string>,
  bumped: Record<string, string> = {},
): Promise<string> =>
  made(join(folder, name), async (part) => {
    await mkdir(part, { recursive: true });
    for (const more of [{}, bumped]) {
      const document = { name: 'service', version: '1.0.0', dependencies: { ...dependencies, ...more } };
      await writeFile(join(part, 'package.json'), `${JSON.stringify(document, null, 2)}\n`);
      await run('npm', ['install', ...QUIET, `--before=${BEFORE}`, '--package-lock-only'], { cwd: part });
    }
    await run('npm', ['ci', ...QUIET], { cwd: part });
  });
