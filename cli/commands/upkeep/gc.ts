import type { Command } from 'commander';
import { collectGarbage } from '#proto/content/maintenance.ts';
import { dataOption } from '../../data/data-option.ts';
import { withStorage } from '../../layer/with-storage.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { describeGarbage } from '../../text/upkeep/garbage-text.ts';

/** Storage that has just started protects all content for one grace period. */
const NOT_NOW =
  'No layer runs here, so recent answers to clients are unknown: content is kept, only abandoned and stray files are deleted.';

type Options = { data: string; json?: boolean; dryRun?: boolean };

export function addGcCommand(program: Command): void {
  program
    .command('gc')
    .description('delete unreferenced content')
    .addOption(dataOption())
    .option('--dry-run', 'only print what would be deleted')
    .option('--json', 'as JSON')
    .action(async ({ data, json, dryRun = false }: Options) => {
      const garbage = await withStorage(data, ({ bus, signal, alone }) => {
        if (alone) printError(NOT_NOW);
        return bus.call(collectGarbage, { dryRun }, { signal, patience: 15_000 });
      });
      if (json) printJson(JSON.stringify(garbage, null, 2));
      else print(describeGarbage(garbage));
    });
}
