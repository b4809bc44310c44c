import { type Command, InvalidArgumentError } from 'commander';
import type { Envelope } from '#proto/contract/envelope.ts';
import { START, startOf } from '#proto/contract/time-text.ts';
import { connectOperator } from '../../connection/connect.ts';
import { dataOption } from '../../data/data-option.ts';
import { eventTypesOf } from '../../input/event-types.ts';
import { type ColourWhen, colourOption, type Tone, toned, usesColour } from '../../terminal/colour.ts';
import { outputEnd } from '../../terminal/output-end.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { eventText, gapText, isFrom, isOf, jsonOf } from '../../text/event-text.ts';
import { toneOf } from '../../text/event-tone.ts';

/** Max events of `--tail`, which are in memory until all stored ones are read. */
const MAX_TAIL = 100_000;

type Options = {
  data: string;
  follow?: boolean;
  since?: number | Date;
  tail?: number;
  type?: string[] | undefined;
  anyType?: boolean;
  layer?: string[] | undefined;
  json?: boolean;
  color: ColourWhen;
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
    .option('--any-type', 'take types that this version does not know: a layer below may have a later one')
    .option('--tail <count>', 'begin with the last stored events of these, this number at most', tailOf)
    .option('--layer <name...>', 'only events of these layers: this one or layers below')
    .option('--json', 'one CloudEvents 1.0 object per line')
    .addOption(colourOption())
    .action(async ({ data, follow, since, tail, layer, json, ...options }: Options) => {
      const type = options.type && eventTypesOf(options.type, options.anyType);
      const isColoured = usesColour(options.color);
      const end = new AbortController();
      process.once('SIGINT', () => end.abort());
      const signal = AbortSignal.any([end.signal, outputEnd]);
      await using bus = await connectOperator(data);
      // Of the stored events, only the last ones are kept until all are read; later ones are printed as they arrive.
      const last = tail === undefined ? undefined : (await bus.archive.bounds()).last;
      const kept: (() => void)[] = [];
      const flush = () => {
        for (const show of kept.splice(0)) show();
      };
      for await (const past of bus.history({ since, follow, signal })) {
        if ('event' in past && last !== undefined && past.sequence > last) flush();
        if ('gap' in past && past.gap.reason === 'trimmed') continue;
        if ('gap' in past) printError(`terrace: ${gapText(past.gap)}`);
        else if (isWanted(past.event, { type, layer })) {
          const { sequence, event } = past;
          const show = () => {
            if (json) return printJson(jsonOf(sequence, event));
            const tone = isColoured ? toneOf(event) : undefined;
            print(eventText(sequence, event), tone && ((safe) => painted(safe, tone)));
          };
          if (tail === undefined || last === undefined || sequence > last) show();
          else {
            kept.push(show);
            if (kept.length > tail) kept.shift();
          }
        }
        if ('event' in past && past.sequence === last) flush();
      }
      flush();
    });
}

const painted = (safe: string, tone: Tone) => `${toned(tone, safe.trimEnd())}\n`;

const isWanted = (event: Envelope, { type, layer }: Pick<Options, 'type' | 'layer'>) =>
  (!type || type.some((wanted) => isOf(event, wanted))) &&
  (!layer || layer.some((wanted) => isFrom(event, wanted)));

/** @throws InvalidArgumentError */
export function tailOf(text: string): number {
  const count = Number(text);
  if (/^\d{1,6}$/.test(text) && count > 0 && count <= MAX_TAIL) return count;
  throw new InvalidArgumentError(`write a number from 1 to ${MAX_TAIL}`);
}

/** Parses a sequence, a time, or a duration before `now`. @throws InvalidArgumentError */
export function sinceOf(text: string, _before?: unknown, now = Date.now()): number | Date {
  const start = startOf(text, now);
  if (start !== undefined) return start;
  throw new InvalidArgumentError(`write ${START}`);
}
