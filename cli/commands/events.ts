import { type Command, InvalidArgumentError } from 'commander';
import type { Envelope } from '#proto/contract/envelope.ts';
import { START, startOf } from '#proto/contract/time-text.ts';
import { connectOperator } from '../connection/connect.ts';
import { dataOption } from '../data/data-option.ts';
import { outputEnd } from '../terminal/output-end.ts';
import { print, printError, printJson } from '../terminal/terminal.ts';
import { eventText, gapText, isFrom, isOf, jsonOf } from '../text/event-text.ts';

type Options = {
  data: string;
  follow?: boolean;
  since?: number | Date;
  type?: string[] | undefined;
  layer?: string[] | undefined;
  json?: boolean;
};

export function addEventsCommand(program: Command): void {
  program
    .command('events')
    .description('show the stored events')
    .addOption(dataOption())
    .option('-f, --follow', 'keep printing new events until Ctrl-C')
    .option('--since <when>', 'start from an age (2h, 30m, 1d), a time, or the number of an event', sinceOf)
    .option(
      '--type <type...>',
      'only these types, such as pass.finished, or transfer for all events of transfers',
    )
    .option('--layer <name...>', 'only events of these layers: this one or layers below')
    .option('--json', 'one CloudEvents 1.0 object per line')
    .action(async ({ data, follow, since, type, layer, json }: Options) => {
      const end = new AbortController();
      process.once('SIGINT', () => end.abort());
      const signal = AbortSignal.any([end.signal, outputEnd]);
      await using bus = await connectOperator(data);
      for await (const past of bus.history({ since, follow, signal })) {
        if ('gap' in past && past.gap.reason === 'trimmed') continue;
        if ('gap' in past) printError(`terrace: ${gapText(past.gap)}`);
        else if (isWanted(past.event, { type, layer })) {
          if (json) printJson(jsonOf(past.sequence, past.event));
          else print(eventText(past.sequence, past.event));
        }
      }
    });
}

const isWanted = (event: Envelope, { type, layer }: Pick<Options, 'type' | 'layer'>) =>
  (!type || type.some((wanted) => isOf(event, wanted))) &&
  (!layer || layer.some((wanted) => isFrom(event, wanted)));

/** Parses a sequence, a time, or a duration before `now`. @throws InvalidArgumentError */
export function sinceOf(text: string, _before?: unknown, now = Date.now()): number | Date {
  const start = startOf(text, now);
  if (start !== undefined) return start;
  throw new InvalidArgumentError(`write ${START}`);
}
