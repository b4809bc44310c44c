import { resolve } from 'node:path';
import type { Command } from 'commander';
import { exportArchive, forgetArchive, listArchives } from '#proto/archive/archives.ts';
import { PeerName } from '#proto/archive/list.ts';
import { MIN_PART_BYTES } from '#proto/archive/packing.ts';
import { matches } from '#proto/contract/schema-check.ts';
import { bytesOf } from '#proto/document/quantities.ts';
import { Platform } from '#proto/document/selection.ts';
import { isRepositoryPattern } from '#proto/oci/repository-pattern.ts';
import { dataOption } from '../../data/data-option.ts';
import { withStorage } from '../../layer/with-storage.ts';
import { formatBytes } from '../../terminal/figures.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printJson } from '../../terminal/terminal.ts';
import { describeBook, describeExport } from '../../text/archive/export-text.ts';
import { withProgress } from './archive-progress.ts';

/** Max time until the first sign of a request that takes long, in ms. */
const PATIENCE_MS = 15_000;

type Common = { data: string; json?: boolean };
type Options = Common & {
  to?: string;
  target?: string;
  repository?: string[];
  platform?: string[];
  since?: string;
  maxSize?: string;
  sign?: string;
  parity?: string;
  always?: boolean;
};

export function addExportCommand(program: Command): void {
  const group = program
    .command('export')
    .description('write what another layer lacks as files into a folder')
    .addOption(dataOption())
    .option('--to <dir>', 'folder for the files, as the layer sees it')
    .option(
      '--target <name>',
      'layer that the files are for (default: as in the last export into the folder)',
    )
    .option('--repository <pattern...>', 'repositories: a name, prefix/* or * (default: *)')
    .option('--platform <name...>', 'platforms of indexes, such as linux/amd64 (default: all that are here)')
    .option('--since <number>', 'take all later sets as lost; all: every set (default: the last one)')
    .option('--max-size <bytes>', 'max size of a file, such as 4GB (default: 4GB)')
    .option('--sign <file>', 'private key (PEM: Ed25519, or ECDSA P-256) that signs the list')
    .option('--parity <percent>', 'adds files from which lost parts are computed again, such as 10%')
    .option('--always', 'write a set even if nothing has changed')
    .option('--json', 'as JSON')
    .action(exportFiles);
  group
    .command('list [target]')
    .description('list the exported sets, and what each other layer has imported')
    .addOption(dataOption())
    .option('--json', 'as JSON')
    .action(list);
  group
    .command('forget <target> [set]')
    .description('take a set as lost, so that the next one has its content again; without a set, all of them')
    .addOption(dataOption())
    .option('--json', 'as JSON')
    .action(forget);
}

async function exportFiles(options: Options): Promise<void> {
  const { data, json, always } = options;
  const query = {
    ...queryOf(options),
    ...(always && { always }),
  };
  const done = await withStorage(data, (operation) =>
    withProgress(operation, () =>
      operation.bus.call(exportArchive, query, { signal: operation.signal, patience: PATIENCE_MS }),
    ),
  );
  if (json) printJson(JSON.stringify(done, null, 2));
  else print(wrapLines(describeExport(done, query.folder), terminalWidth()));
}

function queryOf({ to, target, repository = ['*'], platform, since, maxSize, sign, parity }: Options) {
  if (to === undefined) throw new Refusal('--to is missing: name the folder for the files', 2);
  const wrong = repository.find((pattern) => !isRepositoryPattern(pattern));
  if (wrong !== undefined) {
    throw new Refusal(`--repository "${wrong}" is not valid: write a repository name, prefix/* or *`, 2);
  }
  const noPlatform = platform?.find((name) => !matches(Platform, name));
  if (noPlatform !== undefined) {
    throw new Refusal(
      `--platform "${noPlatform}" is not valid: write os/architecture, such as linux/amd64`,
      2,
    );
  }
  if (target !== undefined) mustBeTarget(target);
  const partBytes = maxSize === undefined ? undefined : bytesOf(maxSize);
  if (maxSize !== undefined && (partBytes === undefined || partBytes < MIN_PART_BYTES)) {
    throw new Refusal(
      `--max-size "${maxSize}" is not valid: write bytes, such as 4GB, ${formatBytes(MIN_PART_BYTES)} at least`,
      2,
    );
  }
  return {
    folder: resolve(to),
    repositories: repository,
    ...(target !== undefined && { target }),
    ...(platform && { platforms: platform }),
    ...(since !== undefined && since !== 'last' && { since: sinceOf(since) }),
    ...(partBytes !== undefined && { partBytes }),
    ...(sign !== undefined && { keyFile: resolve(sign) }),
    ...(parity !== undefined && { parity: percentOf(parity) }),
  };
}

function sinceOf(text: string): number {
  if (text === 'all') return 0;
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new Refusal(`--since "${text}" is not valid: write the number of a set, last or all`, 2);
}

function percentOf(text: string): number {
  const [, number] = /^(\d{1,3})%?$/.exec(text) ?? [];
  const percent = Number(number);
  if (percent >= 1 && percent <= 100) return percent;
  throw new Refusal(`--parity "${text}" is not valid: write a percentage from 1% to 100%`, 2);
}

function mustBeTarget(name: string): void {
  if (matches(PeerName, name)) return;
  throw new Refusal(
    `target "${name}" is not valid: write the name of a layer, lower-case letters, digits and - between them`,
    2,
  );
}

async function list(target: string | undefined, _: Common, command: Command): Promise<void> {
  const { data, json } = command.optsWithGlobals<Common>();
  if (target !== undefined) mustBeTarget(target);
  const query = target === undefined ? {} : { target };
  const book = await withStorage(data, ({ bus, signal }) => bus.call(listArchives, query, { signal }));
  if (json) printJson(JSON.stringify(book, null, 2));
  else print(describeBook(book, terminalWidth()));
}

async function forget(target: string, set: string | undefined, _: Common, command: Command): Promise<void> {
  const { data, json } = command.optsWithGlobals<Common>();
  mustBeTarget(target);
  if (set !== undefined && !/^[1-9]\d{0,5}$/.test(set)) {
    throw new Refusal(`set "${set}" is not valid: write its number, as "terrace export list" shows it`, 2);
  }
  const query = { target, ...(set !== undefined && { number: Number(set) }) };
  const done = await withStorage(data, ({ bus, signal }) =>
    bus.call(forgetArchive, query, { signal, patience: PATIENCE_MS }),
  );
  if (json) return printJson(JSON.stringify(done, null, 2));
  const what = set === undefined ? `Everything about ${target}` : `Set ${set} for ${target}`;
  print(`${what} is forgotten: the next export has its content again (${done.content} blobs and manifests).`);
}
