import type { Command } from 'commander';
import { collectGarbage, type Garbage, type Scrubbed, scrub } from '#proto/content/maintenance.ts';
import { bytesOf } from '#proto/document/quantities.ts';
import { dataOption } from '../../data/data-option.ts';
import { withStorage } from '../../layer/with-storage.ts';
import { formatBytes, formatDuration, plural } from '../../terminal/figures.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';

/** Maintenance of storage on request: garbage collection and scrub. */

/** Storage that has just started protects all content for one grace period. */
const NOT_NOW =
  'No layer runs here, so recent answers to clients are unknown: content is kept, only abandoned and stray files are deleted.';

type Common = { data: string; json?: boolean };

export function addGcCommand(program: Command): void {
  program
    .command('gc')
    .description('delete unreferenced content')
    .addOption(dataOption())
    .option('--dry-run', 'only print what would be deleted')
    .option('--json', 'as JSON')
    .action(async ({ data, json, dryRun = false }: Common & { dryRun?: boolean }) => {
      const garbage = await withStorage(data, ({ bus, signal, alone }) => {
        if (alone) printError(NOT_NOW);
        return bus.call(collectGarbage, { dryRun }, { signal, patience: 15_000 });
      });
      if (json) printJson(JSON.stringify(garbage, null, 2));
      else print(describeGarbage(garbage));
    });
}

export function addScrubCommand(program: Command): void {
  program
    .command('scrub')
    .description('read and hash all content; damaged blobs are quarantined, to be fetched again')
    .addOption(dataOption())
    .option('--rate <bytes>', 'max bytes per second, such as 20MB (default: from the configuration)')
    .option('--json', 'as JSON')
    .action(async ({ data, json, rate: text }: Common & { rate?: string }) => {
      const rate = text === undefined ? undefined : bytesOf(text);
      if (text !== undefined && (rate === undefined || rate < 1)) {
        throw new Refusal(`--rate "${text}" is not valid: write bytes per second, such as 20MB`, 2);
      }
      const query = rate === undefined ? {} : { rate };
      const result = await withStorage(data, ({ bus, signal }) =>
        bus.call(scrub, query, { signal, patience: 15_000 }),
      );
      if (json) printJson(JSON.stringify(result, null, 2));
      else print(describeScrub(result));
      if (result.damaged.length > 0 || result.metadata) process.exitCode = 1;
    });
}

export function describeGarbage(garbage: Garbage): string {
  const parts = [
    garbage.blobs && plural(garbage.blobs, 'unreferenced blob'),
    garbage.links && `${plural(garbage.links, 'link')} of repositories to blobs`,
    garbage.ingests && plural(garbage.ingests, 'abandoned ingest'),
    garbage.repositories && plural(garbage.repositories, 'empty repository', 'empty repositories'),
    garbage.strays && plural(garbage.strays, 'stray file'),
  ].filter(Boolean);
  const took = `in ${formatDuration(garbage.ms)}`;
  if (parts.length === 0) return `Nothing to delete (checked ${took}).`;
  const what = `${parts.join(', ')}: ${formatBytes(garbage.bytes)}`;
  return garbage.dryRun ? `Would delete ${what} (checked ${took}).` : `Deleted ${what}, ${took}.`;
}

export function describeScrub({ checked, bytes: read, damaged, metadata = [], ms }: Scrubbed): string {
  const head = `Checked ${plural(checked, 'blob')}, ${formatBytes(read)}, in ${formatDuration(ms)}: `;
  const content =
    damaged.length === 0
      ? [`${head}all intact.`]
      : [
          `${head}${damaged.length} damaged, moved to the folder quarantine:`,
          ...damaged.map((digest) => `  ${digest}`),
        ];
  const findings = metadata.map((finding) => `  ${finding}`);
  const records =
    findings.length === 0
      ? []
      : ['Metadata are damaged: stop the layer and run "terrace repair":', ...findings];
  return [...content, ...records].join('\n');
}
