import { type Command, InvalidArgumentError } from 'commander';
import { crossingBytes } from '#proto/sync/crossing.ts';
import { connectOperator } from '../../connection/connect.ts';
import { dataOption } from '../../data/data-option.ts';
import { formatBytes, formatDuration, plural, shortDigest } from '../../terminal/figures.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { table } from '../../terminal/table.ts';
import { print, printJson, singleLines } from '../../terminal/terminal.ts';
import { gapText } from '../../text/event-text.ts';
import { apply, emptyReplay, isOver, type Replay, type ReplayedTransfer } from '../../text/replay-state.ts';

type Options = { data: string; until?: number; json?: boolean };

export function addReplayCommand(program: Command): void {
  program
    .command('replay')
    .description('show the state of each transfer, rebuilt from events alone')
    .addOption(dataOption())
    .option('--until <number>', 'state after this event', untilOf)
    .option('--json', 'as JSON')
    .action(async ({ data, until = Number.POSITIVE_INFINITY, json }: Options) => {
      await using bus = await connectOperator(data);
      const rebuilt = emptyReplay();
      for await (const past of bus.history({ since: 1 })) {
        if ('event' in past && past.sequence > until) break;
        apply(rebuilt, past);
      }
      if (json) printJson(jsonOf(rebuilt));
      else print(describeReplay(rebuilt, Date.now(), terminalWidth()));
    });
}

function untilOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('write the number of an event, as terrace events shows it');
}

const jsonOf = ({ transfers, gaps, last }: Replay): string =>
  JSON.stringify({ transfers: [...transfers.values()], gaps, last }, null, 2);

/** For people: the unfinished transfers, then the gaps. @param width to which it is fitted */
export function describeReplay({ transfers, gaps, last }: Replay, now: number, width?: number): string {
  const all = singleLines([...transfers.values()]);
  const open = all.filter(({ state }) => state !== 'finished');
  const rows = open.map((one) => [
    one.direction,
    `${one.repository}@${shortDigest(one.digest)}`,
    stateOf(one, now),
    `${formatBytes(one.done)} of ${formatBytes(crossingBytes(one))}`,
    one.syncer,
    one.unknown ? `unknown: ${one.unknown}` : (one.reason ?? ''),
  ]);
  const finished = all.length - open.length;
  const saved = all.reduce((sum, one) => sum + (one.saved?.bytes ?? 0), 0);
  const failed = all.filter((one) => isOver(one)).length - finished;
  const text = [
    ...(rows.length > 0 ? [table([['', 'BLOB', 'STATE', 'BYTES', 'SYNCER', ''], ...rows], width)] : []),
    `${plural(finished, 'transfer')} finished${saved > 0 ? ` (${formatBytes(saved)} did not cross the link)` : ''}, ${failed} failed, ${open.length - failed} open after event ${last}.`,
    ...gaps.map((gap) => `Unknown: ${gapText(gap)}.`),
  ].join('\n');
  return width === undefined ? text : wrapLines(text, width);
}

function stateOf({ state, until }: ReplayedTransfer, now: number): string {
  return state === 'waiting' && until !== undefined && until > now
    ? `waits ${formatDuration(until - now)}`
    : state;
}
