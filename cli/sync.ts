import type { Command } from 'commander';
import { Fault } from '#proto/fault.ts';
import type { PassResult } from '#proto/passes.ts';
import { connectOperator } from './connect.ts';
import { dataOption } from './data-option.ts';
import { duration, plural } from './figures.ts';
import { followPass } from './follow-pass.ts';
import { barView, lineView, type View } from './progress.ts';
import { Refusal } from './refusal.ts';

export function sync(program: Command): void {
  program
    .command('sync')
    .description('synchronise with the parent now, and show how it goes; Ctrl-C leaves it running')
    .addOption(dataOption())
    .action(async ({ data }: { data: string }) => {
      const end = new AbortController();
      process.once('SIGINT', () => end.abort());
      await using bus = await connectOperator(data);
      const view: View = process.stdout.isTTY ? barView() : lineView((line) => console.log(line));
      try {
        const result = await followPass(bus, { signal: end.signal, hear: view.hear });
        view.end();
        console.log(summary(result));
        if (!result.ok) process.exitCode = 1;
      } catch (error) {
        view.end();
        if (end.signal.aborted) {
          console.log('The pass goes on without you: terrace status shows its state.');
          process.exitCode = 130;
        } else throw Fault.is(error) ? new Refusal(sentence(error)) : error;
      }
    });
}

export function summary({ ok, taken, dropped, failed, failures, ms }: PassResult): string {
  const lines = failures.map(({ repository, tag, code, reason }) => {
    const what = repository ? `${repository}${tag ? `:${tag}` : ''}: ` : '';
    return `failed: ${what}${reason} (${code})`;
  });
  if (failed > failures.length && failures.length > 0) lines.push(`… and ${failed - failures.length} more`);
  const counts = [
    `${plural(taken, 'image')} taken`,
    ...(dropped ? [`${dropped} dropped`] : []),
    ...(failed ? [`${failed} failed`] : []),
  ].join(', ');
  return [
    ...lines,
    `${ok ? 'In step with the parent' : 'Not in step with the parent'}: ${counts} in ${duration(ms)}.`,
  ].join('\n');
}

function sentence(fault: Fault): string {
  if (fault.code === 'unavailable') return `the pass did not come about: ${fault.message}`;
  return fault.message;
}
