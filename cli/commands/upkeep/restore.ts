import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { LOGS, RESTORE, RUN } from '#proto/volume/layout.ts';
import { makeAloneFolders } from '../../data/data-folder.ts';
import { claimFolder } from '../../data/pid-file.ts';
import { runBackupProcess } from '../../layer/backup-process.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printJson } from '../../terminal/terminal.ts';
import { BackupBar } from '../../text/backup/backup-progress.ts';
import { restoreText } from '../../text/backup/backup-text.ts';
import { atOf } from './backup.ts';

type Options = { data: string; at?: number; metadataOnly?: boolean; json?: boolean };

/** Entries of a data folder that a restore does not mind. */
const FREE = new Set([RUN, LOGS, RESTORE, 'lost+found']);

export function addRestoreCommand(program: Command): void {
  program
    .command('restore')
    .description('restore a backup to an empty data folder; one that was interrupted is continued')
    .argument('<source>', 'folder or .tar file of backups')
    .addOption(
      new Option('--data <dir>', 'the empty data folder; it is made if it is missing').makeOptionMandatory(),
    )
    .option('--at <time>', 'the last backup of this time or earlier (default: the last one)', atOf)
    .option('--metadata-only', 'without content: all of it comes again from the parent')
    .option('--json', 'as JSON')
    .action(async (source: string, { data, at, metadataOnly = false, json = false }: Options) => {
      const root = resolve(data);
      const names: string[] = await readdir(root).catch(() => []);
      const isUnfinished = names.includes(RESTORE);
      if (!isUnfinished && names.some((name) => !FREE.has(name)))
        throw new Refusal(`${root} is not empty: restore to an empty folder`);
      const claim = claimFolder(await makeAloneFolders(root));
      if ('held' in claim)
        throw new Refusal(`a Terrace (process ${claim.held}) works on ${root}: wait until it ends`);
      using _claim = claim;
      using bar = new BackupBar('restored');
      const restored = await runBackupProcess(
        {
          ...{ task: 'restore' as const, source: resolve(source), data: root, metadataOnly },
          ...(at !== undefined && { at }),
        },
        'restored',
        (progress) => bar.show(progress),
      );
      bar[Symbol.dispose]();
      if (json) printJson(JSON.stringify(restored, null, 2));
      else print(wrapLines(restoreText(restored, root, metadataOnly), terminalWidth()));
      if (!metadataOnly && restored.missing.blobs > 0) process.exitCode = 1;
    });
}
