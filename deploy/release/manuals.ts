import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

const execute = promisify(execFile);

/** Where a shell finds completions, by the shell. */
const COMPLETIONS = {
  bash: 'usr/share/bash-completion/completions/terrace',
  zsh: 'usr/share/zsh/vendor-completions/_terrace',
  fish: 'usr/share/fish/vendor_completions.d/terrace.fish',
};

/**
 * Manual pages and completions of the command, by their places in a package.
 * @param project in which `npm ci` has run @param folder for the pages
 */
export async function manuals(project: string, folder: string): Promise<Record<string, string | Uint8Array>> {
  const run = (...parameters: string[]) =>
    execute(join(project, 'cli/terrace'), parameters, { maxBuffer: 1 << 26 });
  await run('man', folder);
  const files: Record<string, string | Uint8Array> = {};
  for (const name of (await readdir(folder)).sort()) {
    const section = name.slice(name.lastIndexOf('.') + 1);
    files[`usr/share/man/man${section}/${name}.gz`] = gzipSync(await readFile(join(folder, name)), {
      level: 9,
    });
  }
  for (const [shell, path] of Object.entries(COMPLETIONS)) {
    files[path] = (await run('completion', shell)).stdout;
  }
  return files;
}
