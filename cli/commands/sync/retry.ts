import type { Command } from 'commander';
import { connectOperator } from '../../connection/connect.ts';
import { pendingRetries } from '../../connection/pending-retries.ts';
import { showPass } from '../../connection/show-pass.ts';
import { dataOption } from '../../data/data-option.ts';
import { changeArgument } from '../../input/image-name.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { print, printJson } from '../../terminal/terminal.ts';
import { outcomeOf, retriedText, retryingText } from '../../text/sync/retry-text.ts';

type Options = { data: string; now?: boolean; json?: boolean };

export function addRetryCommand(program: Command): void {
  program
    .command('retry [name]')
    .description(
      'try again now what the parent refused and what failed, without comparing everything again; with REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST only that',
    )
    .addOption(dataOption())
    .option('--now', 'use the link even if the window is closed')
    .option('--json', 'each event of the pass, and what came of it, as one JSON object per line')
    .action(async (name: string | undefined, { data, now, json }: Options) => {
      const only = name === undefined ? {} : changeArgument(name);
      await using bus = await connectOperator(data);
      const { pending, more } = await pendingRetries(bus, only);
      if (pending.length === 0) {
        const of = name === undefined ? '' : ` of ${name}`;
        const nothing = `Nothing${of} was refused or has failed: terrace sync compares with the parent.`;
        if (json) printJson(JSON.stringify({ type: 'retried', done: [], left: [] }));
        else print(wrapLines(nothing, terminalWidth()));
        return;
      }
      if (!json) print(retryingText(pending, more));
      const result = await showPass(bus, { now, retry: only }, json);
      if (!result) return;
      const outcome = outcomeOf(pending, (await pendingRetries(bus, only)).pending);
      if (json) printJson(JSON.stringify({ type: 'retried', ...outcome, result }));
      else print(wrapLines(retriedText(outcome, result), terminalWidth()));
      if (outcome.left.length > 0 && result.ended !== 'window') process.exitCode = 1;
    });
}
