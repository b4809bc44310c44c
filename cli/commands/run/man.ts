import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { version } from '#proto/process/version.ts';
import { commandPages } from '../../man/command-pages.ts';
import { documentPage } from '../../man/document-page.ts';
import { plural } from '../../terminal/figures.ts';
import { print } from '../../terminal/terminal.ts';

/** For packages, whose build writes the manual pages with it. */
export function addManCommand(program: Command): void {
  program
    .command('man', { hidden: true })
    .description('write the manual pages: terrace(1), one for each command, and terrace.yaml(5)')
    .argument('<dir>', 'folder, which is created')
    .action(async (dir: string) => {
      const folder = resolve(dir);
      const pages = [...commandPages(program, version()), documentPage(version())];
      await mkdir(folder, { recursive: true });
      for (const { file, text } of pages) await writeFile(join(folder, file), text);
      print(`${plural(pages.length, 'page')} written to ${folder}`);
    });
}
