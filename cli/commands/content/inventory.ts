import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Fault } from '#proto/contract/fault.ts';
import { matchesPattern, RepositoryPattern } from '#proto/oci/repository-pattern.ts';
import { readSbom } from '#proto/oci/sbom.ts';
import { connectOperator } from '../../connection/connect.ts';
import { readComparison, repositoryPages, tagPages } from '../../connection/content-lists.ts';
import { LocalContent } from '../../connection/read-content.ts';
import { dataOption } from '../../data/data-option.ts';
import { SbomFiles } from '../../data/sbom-files.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { outputDrained, outputEnd } from '../../terminal/output-end.ts';
import { EXIT_USAGE, Refusal } from '../../terminal/refusal.ts';
import { TableStream } from '../../terminal/table-stream.ts';
import { print, printError, printJson, printRaw } from '../../terminal/terminal.ts';
import { csvRow } from '../../text/content/csv.ts';
import {
  CSV_HEAD,
  CSV_SBOM_HEAD,
  csvCells,
  type InventoryRow,
  type InventorySbom,
  inventoryCells,
  inventoryHead,
  inventoryRow,
  sbomLines,
} from '../../text/content/inventory-text.ts';

/** Max size of an SBOM that is read, in bytes. */
const MAX_SBOM_BYTES = 64 * 1024 * 1024;

type Options = {
  data: string;
  repository?: string[];
  csv?: boolean;
  json?: boolean;
  sbom?: boolean;
  to?: string;
};

export function addInventoryCommand(program: Command): void {
  program
    .command('inventory')
    .description(
      'list what is here for an audit, one row for each tag: digest, type, platforms, size, since when, from which layer or account, signers, and what is attached',
    )
    .addOption(dataOption())
    .option('--repository <pattern...>', 'only these repositories: a name, prefix/* or *')
    .option('--sbom', 'with the SBOMs of each image: format, name, number of packages, digest')
    .option('--to <folder>', 'with --sbom: write the SBOMs to files in this folder')
    .option('--csv', 'as CSV (RFC 4180)')
    .option('--json', 'one JSON object per line')
    .action(async (options: Options) => {
      const patterns = patternsOf(options);
      if (options.to !== undefined && !options.sbom) throw new Refusal('--to needs --sbom', EXIT_USAGE);
      const files = options.to === undefined ? undefined : await SbomFiles.create(resolve(options.to));
      await using bus = await connectOperator(options.data);
      const content = new LocalContent(bus, options.data);
      const comparison = await readComparison(bus);
      const writer = writerOf(options);
      let count = 0;
      const [only, ...others] = patterns;
      const prefix = only !== undefined && others.length === 0 ? only.replace(/\*$/, '') : '';
      const list = { signal: outputEnd, contents: false };
      for await (const repositories of repositoryPages(bus, prefix, comparison, list)) {
        for (const { repository, tags = 0 } of repositories) {
          if (tags === 0 || !matchesPattern(patterns, repository)) continue;
          for await (const page of tagPages(bus, repository, comparison, { ...list, attached: true })) {
            const rows = page.flatMap((item) => inventoryRow(repository, item) ?? []);
            if (options.sbom) for (const row of rows) row.sboms = await sbomsOf(content, row, files);
            count += rows.length;
            if (rows.length > 0) writer(rows);
            await outputDrained();
            if (outputEnd.aborted) return;
          }
        }
      }
      if (count === 0 && !options.json && !options.csv) printError('No images.');
    });
}

/** @throws Refusal */
function patternsOf({ repository = ['*'], csv, json }: Options): string[] {
  if (csv && json) throw new Refusal('--csv and --json exclude each other', EXIT_USAGE);
  const form = new RegExp(RepositoryPattern.pattern as string);
  for (const pattern of repository) {
    if (form.test(pattern)) continue;
    throw new Refusal(`--repository "${pattern}" is no pattern: write a name, prefix/* or *`, EXIT_USAGE);
  }
  return repository;
}

function writerOf({ csv, json, sbom }: Options): (rows: InventoryRow[]) => void {
  if (json) return (rows) => rows.forEach((row) => void printJson(JSON.stringify(row)));
  if (csv) {
    printRaw(csvRow([...CSV_HEAD, ...(sbom ? CSV_SBOM_HEAD : [])]));
    return (rows) => printRaw(rows.map((row) => csvRow(csvCells(row))).join(''));
  }
  const width = terminalWidth();
  const table = new TableStream(inventoryHead(width), width);
  return (rows) => {
    const blocks = table.blocks(rows.map((row) => inventoryCells(row, width)));
    print(rows.flatMap((row, index) => [blocks[index] as string, ...sbomLines(row, width)]).join('\n'));
  };
}

/** The SBOMs of an image, read where they are stored. */
async function sbomsOf(
  content: LocalContent,
  { repository, image, attached }: InventoryRow,
  files: SbomFiles | undefined,
): Promise<InventorySbom[]> {
  const sboms: InventorySbom[] = [];
  for (const { kind, content: digest, platform } of attached) {
    if (kind !== 'sbom' || digest === undefined) continue;
    const about = { digest, ...(platform !== undefined && { platform }) };
    try {
      const bytes = await content.blob(repository, digest, MAX_SBOM_BYTES);
      const { extracted, ...sbom } = readSbom(bytes);
      const file = await files?.write({ image, digest, platform }, sbom, extracted ?? bytes);
      sboms.push({ ...about, ...sbom, ...(file !== undefined && { file }) });
    } catch (error) {
      // One that is missing or too large is listed as that.
      if (!Fault.is(error)) throw error;
      sboms.push({ ...about, format: 'unknown', reason: error.message });
    }
  }
  return sboms;
}
