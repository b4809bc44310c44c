import { resolve } from 'node:path';
import type { Command } from 'commander';
import { importArchive } from '#proto/archive/archives.ts';
import { dataOption } from '../../data/data-option.ts';
import { withStorage } from '../../layer/with-storage.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { describeImport } from '../../text/archive/import-text.ts';
import { withProgress } from './archive-progress.ts';

type Options = {
  data: string;
  json?: boolean;
  key?: string[];
  dryRun?: boolean;
  newSender?: boolean;
  conflict?: string;
};

type Policy = 'parent-wins' | 'layer-wins';

export function addImportCommand(program: Command): void {
  program
    .command('import <dir>')
    .description('verify the files of an export, then take over their content and all tags')
    .addOption(dataOption())
    .option(
      '--key <file>',
      'public key (PEM) of a trusted sender; may be repeated: an unsigned set is then refused',
      (file: string, before: string[] = []) => [...before, file],
    )
    .option('--dry-run', 'only verify')
    .option('--new-sender', 'the sender was replaced: take its sets although they are of another data volume')
    .option(
      '--conflict <side>',
      'whose content wins if both changed a tag: parent-wins (the files) or layer-wins (default: parent-wins)',
    )
    .option('--json', 'as JSON')
    .action(importFiles);
}

async function importFiles(folder: string, options: Options): Promise<void> {
  const { data, json, key = [], dryRun = false, newSender, conflict } = options;
  const query = {
    folder: resolve(folder),
    keyFiles: key.map((file) => resolve(file)),
    dryRun,
    ...(newSender && { newSender }),
    ...(conflict !== undefined && { conflict: policyOf(conflict) }),
  };
  const reply = await withStorage(
    data,
    (operation) =>
      withProgress(operation, () =>
        operation.bus.call(importArchive, query, { signal: operation.signal, patience: 15_000 }),
      ),
    { make: true },
  );
  const isRefused = reply.unusable.length > 0 || reply.results.some(({ outcome }) => outcome === 'refused');
  if (json) printJson(JSON.stringify(reply, null, 2));
  else {
    const { done, problems } = describeImport(reply);
    if (done) print(wrapLines(done, terminalWidth()));
    for (const problem of problems) printError(`terrace: ${problem}`);
  }
  if (isRefused) process.exitCode = 1;
}

function policyOf(text: string): Policy {
  if (text === 'parent-wins' || text === 'layer-wins') return text;
  throw new Refusal(`--conflict "${text}" is not valid: write parent-wins or layer-wins`, 2);
}
