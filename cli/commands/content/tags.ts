import type { Command } from 'commander';
import { connectOperator } from '../../connection/connect.ts';
import { readComparison, tagPages } from '../../connection/content-lists.ts';
import { dataOption } from '../../data/data-option.ts';
import { repositoryArgument } from '../../input/image-name.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { outputDrained, outputEnd } from '../../terminal/output-end.ts';
import { TableStream } from '../../terminal/table-stream.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { TAG_HEAD, tagRow } from '../../text/content/content-text.ts';

type Options = { data: string; json?: boolean };

export function addTagsCommand(program: Command): void {
  program
    .command('tags <repository>')
    .description('list the tags of a repository: digest, size, platforms, since when, and the parent')
    .addOption(dataOption())
    .option('--json', 'one JSON object per line, as the items of GET /api/v1/repositories/NAME/tags')
    .action(async (name: string, { data, json }: Options) => {
      const repository = repositoryArgument(name);
      await using bus = await connectOperator(data);
      const comparison = await readComparison(bus);
      const rows = new TableStream(TAG_HEAD, terminalWidth());
      let count = 0;
      for await (const page of tagPages(bus, repository, comparison, { signal: outputEnd })) {
        count += page.length;
        if (json) for (const item of page) printJson(JSON.stringify(item));
        else print(rows.lines(page.map((item) => tagRow(item, Date.now()))));
        await outputDrained();
        if (outputEnd.aborted) return;
      }
      if (count === 0 && !json) printError(`No tags in ${repository}.`);
    });
}
