import type { Command } from 'commander';
import { connectOperator } from '../../connection/connect.ts';
import { readComparison, repositoryPages } from '../../connection/content-lists.ts';
import { dataOption } from '../../data/data-option.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { outputDrained, outputEnd } from '../../terminal/output-end.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { TableStream } from '../../terminal/table-stream.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { REPOSITORY_HEAD, repositoryRow } from '../../text/content/content-text.ts';

type Options = { data: string; json?: boolean };

export function addRepositoriesCommand(program: Command): void {
  program
    .command('repositories [prefix]')
    .description('list the repositories: tags, size, last change, and how each stands against the parent')
    .addOption(dataOption())
    .option('--json', 'one JSON object per line, as the items of GET /api/v1/repositories')
    .action(async (prefix = '', { data, json }: Options) => {
      if (!/^[a-z0-9._/-]*$/.test(prefix) || prefix.length > 255) {
        throw new Refusal(`"${prefix}" begins no name of a repository: use a-z, 0-9 and . _ - /`, 2);
      }
      await using bus = await connectOperator(data);
      const comparison = await readComparison(bus);
      const rows = new TableStream(REPOSITORY_HEAD, terminalWidth());
      let count = 0;
      for await (const page of repositoryPages(bus, prefix, comparison, { signal: outputEnd })) {
        count += page.length;
        if (json) for (const item of page) printJson(JSON.stringify(item));
        else print(rows.lines(page.map((item) => repositoryRow(item, Date.now()))));
        await outputDrained();
        if (outputEnd.aborted) return;
      }
      if (count === 0 && !json)
        printError(prefix ? `No repository begins with "${prefix}".` : 'No repositories.');
    });
}
