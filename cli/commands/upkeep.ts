import type { Command } from 'commander';
import {
  collectGarbage,
  type Garbage,
  type Scrubbed,
  scrub as scrubRequest,
} from '#proto/content/maintenance.ts';
import { bytesOf } from '#proto/document/quantities.ts';
import { dataOption } from '../data/data-option.ts';
import { withStorage } from '../layer/with-storage.ts';
import { bytes, duration, plural } from '../terminal/figures.ts';
import { Refusal } from '../terminal/refusal.ts';
import { print, printError, printJson } from '../terminal/terminal.ts';

/** Maintenance of storage on request: garbage collection and scrub. */

/** Storage that has just started protects all content for one grace period. */
const NOT_NOW =
  'No layer runs here, so nobody knows what clients were told lately: content stays, only abandoned and stray files go.';

type Common = { data: string; json?: boolean };

export function gc(program: Command): void {
  program
    .command('gc')
    .description('take away content that nothing names any more')
    .addOption(dataOption())
    .option('--dry-run', 'only say what would go')
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

export function scrub(program: Command): void {
  program
    .command('scrub')
    .description('read and hash all content; what is damaged is set aside, to be fetched again')
    .addOption(dataOption())
    .option('--rate <bytes>', 'at most so much a second, such as 20MB (default: that of the configuration)')
    .option('--json', 'as JSON')
    .action(async ({ data, json, rate: text }: Common & { rate?: string }) => {
      const rate = text === undefined ? undefined : bytesOf(text);
      if (text !== undefined && (rate === undefined || rate < 1)) {
        throw new Refusal(`--rate "${text}" is not valid: write bytes a second, such as 20MB`, 2);
      }
      const query = rate === undefined ? {} : { rate };
      const result = await withStorage(data, ({ bus, signal }) =>
        bus.call(scrubRequest, query, { signal, patience: 15_000 }),
      );
      if (json) printJson(JSON.stringify(result, null, 2));
      else print(describeScrub(result));
      if (result.damaged.length > 0 || result.metadata) process.exitCode = 1;
    });
}

export function describeGarbage(garbage: Garbage): string {
  const parts = [
    garbage.blobs && `${plural(garbage.blobs, 'blob')} that nothing names`,
    garbage.links && `${plural(garbage.links, 'link')} of repositories to blobs`,
    garbage.ingests && plural(garbage.ingests, 'abandoned ingest'),
    garbage.repositories && plural(garbage.repositories, 'empty repository', 'empty repositories'),
    garbage.strays && plural(garbage.strays, 'stray file'),
  ].filter(Boolean);
  const took = `in ${duration(garbage.ms)}`;
  if (parts.length === 0) return `Nothing to take away (looked ${took}).`;
  const what = `${parts.join(', ')}: ${bytes(garbage.bytes)}`;
  return garbage.dryRun ? `Would take away ${what} (looked ${took}).` : `Took away ${what}, ${took}.`;
}

export function describeScrub({ checked, bytes: read, damaged, metadata = [], ms }: Scrubbed): string {
  const head = `Checked ${plural(checked, 'blob')}, ${bytes(read)}, in ${duration(ms)}: `;
  const content =
    damaged.length === 0
      ? [`${head}all as they should be.`]
      : [
          `${head}${damaged.length} damaged, set aside in the folder quarantine:`,
          ...damaged.map((digest) => `  ${digest}`),
        ];
  const findings = metadata.map((finding) => `  ${finding}`);
  const records =
    findings.length === 0
      ? []
      : ['Metadata are damaged: stop the layer, and run "terrace repair":', ...findings];
  return [...content, ...records].join('\n');
}
