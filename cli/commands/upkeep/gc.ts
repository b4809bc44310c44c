import type { Command } from 'commander';
import { type Collected, collectGarbage } from '#proto/content/maintenance.ts';
import { dataOption } from '../../data/data-option.ts';
import { type Operation, withStorage } from '../../layer/with-storage.ts';
import { confirm } from '../../terminal/confirm.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { describeGarbage, describeHeld } from '../../text/upkeep/garbage-text.ts';

/** Storage that has just started protects all content for one grace period. */
const NOT_NOW =
  'No layer runs here, so recent answers to clients are unknown: content is kept, only abandoned and stray files are deleted.';

const RISK =
  'A push that runs now may fail, as content that it was answered to be here is deleted with --now: it has to be repeated then; content that a manifest names, and what open uploads have linked, stays.';

type Options = {
  data: string;
  json?: boolean;
  dryRun?: boolean;
  explain?: boolean;
  now?: boolean;
  yes?: boolean;
};

export function addGcCommand(program: Command): void {
  program
    .command('gc')
    .description('delete unreferenced content, and say what is left')
    .addOption(dataOption())
    .option('--dry-run', 'only print what would be deleted, and what is held, why and until when')
    .option('--explain', 'also print what is held, why and until when')
    .option('--now', 'also delete what only its grace time protects; asks, as a push that runs may fail')
    .option('--yes', 'with --now: do not ask')
    .option('--json', 'as JSON')
    .action(async ({ data, json, dryRun = false, now = false, yes = false, ...options }: Options) => {
      const explain = options.explain ?? dryRun;
      if (now && !dryRun) await confirm(RISK, yes);
      const garbage = await withStorage(data, (operation) => collect(operation, { dryRun, explain, now }));
      if (json) printJson(JSON.stringify(garbage, null, 2));
      else {
        print(describeGarbage(garbage));
        if (garbage.held) print(`\n${describeHeld(garbage.held, Date.now(), terminalWidth())}`);
      }
    });
}

function collect(
  { bus, signal, alone }: Operation,
  query: { dryRun: boolean; explain: boolean; now: boolean },
): Promise<Collected> {
  if (alone && !query.now) printError(NOT_NOW);
  return bus.call(collectGarbage, query, { signal, patience: 15_000 });
}
