import type { Command } from 'commander';
import type { PassResult } from '#proto/sync/passes.ts';
import { connectOperator } from '../../connection/connect.ts';
import { showPass } from '../../connection/show-pass.ts';
import { dataOption } from '../../data/data-option.ts';
import { formatDuration, plural } from '../../terminal/figures.ts';
import { print, printJson, singleLines } from '../../terminal/terminal.ts';
import { leftOutLines } from '../../text/link-text.ts';

type Options = { data: string; full?: boolean; now?: boolean; json?: boolean };

export function addSyncCommand(program: Command): void {
  program
    .command('sync')
    .description('synchronize with the parent now, and show the progress; Ctrl-C leaves the pass running')
    .addOption(dataOption())
    .option(
      '--full',
      'compare everything again, including content known to match and changes that the parent refused',
    )
    .option('--now', 'use the link even if the window is closed')
    .option('--json', 'each event of the pass, its progress and its result as one JSON object per line')
    .action(async ({ data, full, now, json }: Options) => {
      await using bus = await connectOperator(data);
      const result = await showPass(bus, { full, now }, json);
      if (!result) return;
      if (json) printJson(JSON.stringify({ type: 'result', result }));
      else print(summary(result));
      if (!result.ok && result.ended !== 'window') process.exitCode = 1;
    });
}

export function summary(result: PassResult): string {
  const { ok, taken, dropped, sent, withdrawn, failed, parked, failures, leftOut, ended, ms } =
    singleLines(result);
  const lines = failures.map(({ repository, tag, code, reason }) => {
    const what = repository ? `${repository}${tag ? `:${tag}` : ''}: ` : '';
    return `failed: ${what}${reason} (${code})`;
  });
  if (failed > failures.length && failures.length > 0) lines.push(`… and ${failed - failures.length} more`);
  if (parked) {
    lines.push(
      `The parent refuses ${plural(parked, 'change')}: terrace status shows why, terrace retry tries again.`,
    );
  }
  const counts = [
    `${plural(taken, 'image')} pulled`,
    ...(sent ? [`${sent} pushed`] : []),
    ...(dropped ? [`${dropped} dropped`] : []),
    ...(withdrawn ? [`${withdrawn} withdrawn`] : []),
    ...(failed ? [`${failed} failed`] : []),
    ...(parked ? [`${parked} parked`] : []),
  ].join(', ');
  const absent = leftOut ? leftOutLines(leftOut) : [];
  return [...absent, ...lines, `${outcome(ok, ended)}: ${counts} in ${formatDuration(ms)}.`].join('\n');
}

function outcome(ok: boolean, ended: PassResult['ended']): string {
  if (ended === 'window') return 'The window closed; the next one continues from here';
  if (ended === 'paused') return 'The link was paused; a pass continues from here after terrace resume';
  if (ended === 'configuration') return 'The configuration changed; another pass continues from here';
  return ok ? 'In sync with the parent' : 'Not in sync with the parent';
}
