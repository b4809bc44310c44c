import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { instantOf, spanOf } from '#proto/contract/time-text.ts';
import { serviceNames } from '#proto/contract/users.ts';
import { type DataFolder, dataFolder } from '../../data/data-folder.ts';
import { dataOption } from '../../data/data-option.ts';
import { livingPid } from '../../data/pid-file.ts';
import {
  entryOf,
  entryText,
  isWanted,
  type LogLevelName,
  logLevelNumbers,
  toneOfEntry,
} from '../../logs/log-entry.ts';
import { readLog } from '../../logs/log-files.ts';
import { type ColourWhen, colourOption, toned, usesColour } from '../../terminal/colour.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { outputEnd } from '../../terminal/output-end.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';

/** Programs of a layer with a log: `layer` is the supervisor, or the process of a compact layer. */
const PROGRAMS = [...serviceNames, 'nats-server', 'layer'];
/** Lines with which `--follow` begins. */
const DEFAULT_TAIL = 10;
/** Max lines of `-n`, which are in memory until all are read. */
const MAX_TAIL = 100_000;
const GAP = 'terrace: lines are missing here: the log was rotated faster than it is read';

type Options = {
  data: string;
  service?: string[];
  follow?: boolean;
  since?: number;
  level?: LogLevelName;
  lines?: number;
  json?: boolean;
  color: ColourWhen;
};

export function addLogsCommand(program: Command): void {
  program
    .command('logs')
    .description('print the log of the layer, also after it has stopped')
    .addOption(dataOption())
    .addOption(new Option('--service <name...>', 'only these programs of the layer').choices(PROGRAMS))
    .option('-f, --follow', 'keep printing new lines until Ctrl-C; begins with the last 10')
    .option('--since <when>', 'only lines from an age (2h, 30m, 1d) or a time on', sinceOf)
    .addOption(
      new Option('--level <level>', 'only lines of this level and above').choices(
        Object.keys(logLevelNumbers),
      ),
    )
    .option('-n, --lines <count>', 'only the last lines of these, this number at most', linesOf)
    .option('--json', 'as the log has them: one JSON object per line')
    .addOption(colourOption())
    .action(run);
}

async function run({ data, service, follow, since, level, lines, json, color }: Options): Promise<void> {
  const folder = dataFolder(resolve(data));
  const end = new AbortController();
  process.once('SIGINT', () => end.abort());
  const signal = AbortSignal.any([end.signal, outputEnd]);
  const tail = lines ?? (follow && since === undefined ? DEFAULT_TAIL : undefined);
  const width = process.stdout.isTTY ? terminalWidth() : undefined;
  const isColoured = usesColour(color);
  const show = (line: string) => {
    if (json) return printJson(line);
    const entry = entryOf(line);
    const tone = entry && isColoured ? toneOfEntry(entry) : undefined;
    print(entry ? entryText(entry, width) : line, tone && ((safe) => `${toned(tone, safe.trimEnd())}\n`));
  };
  const kept: string[] = [];
  let isPast = true;
  mustHaveLog(folder);
  for await (const part of readLog(folder.log, { follow: follow ?? false, signal })) {
    if (signal.aborted) break;
    if (part === 'end') {
      for (const line of kept.splice(0)) show(line);
      isPast = false;
    } else if (part === 'gap') printError(GAP);
    else if (isWanted(entryOf(part.line), { services: service, since, minLevel: level })) {
      if (!isPast || tail === undefined) show(part.line);
      else {
        kept.push(part.line);
        if (kept.length > tail) kept.shift();
      }
    }
  }
}

const ELSEWHERE =
  'a layer that runs with --log-json, or in separate containers, writes its log to stdout: read it with "docker logs" or "docker compose logs", or "journalctl -u terrace"';

/** @throws Refusal if the layer has no log file */
function mustHaveLog({ log, pid, root }: DataFolder): void {
  const written = statSync(log, { throwIfNoEntry: false })?.mtimeMs;
  if (written === undefined)
    throw new Refusal(`${root} has no log of a layer (log/terrace.log): ${ELSEWHERE}`);
  const started = statSync(pid, { throwIfNoEntry: false })?.mtimeMs;
  if (started !== undefined && started > written && livingPid(pid) !== undefined) {
    printError(`terrace: the layer has written nothing to ${log} since its start: ${ELSEWHERE}`);
  }
}

/** @throws InvalidArgumentError */
function sinceOf(text: string, _before?: unknown, now = Date.now()): number {
  const span = spanOf(text);
  const instant = span === undefined ? instantOf(text) : now - span;
  if (instant !== undefined) return instant;
  throw new InvalidArgumentError('write an age (2h, 30m, 1d) or a time (2026-05-01T12:00Z)');
}

/** @throws InvalidArgumentError */
function linesOf(text: string): number {
  const count = Number(text);
  if (/^\d{1,6}$/.test(text) && count > 0 && count <= MAX_TAIL) return count;
  throw new InvalidArgumentError(`write a number from 1 to ${MAX_TAIL}`);
}
