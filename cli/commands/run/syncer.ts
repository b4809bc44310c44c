import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { dataOption } from '../../data/data-option.ts';
import { type JoinOptions, joinLayer, untilMoved } from '../../layer/join.ts';
import { LayerLog, type Outlets } from '../../layer/layer-log.ts';
import { syncerPrograms } from '../../layer/programs.ts';
import { Supervisor } from '../../layer/supervisor.ts';
import { plural } from '../../terminal/figures.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printJson } from '../../terminal/terminal.ts';

/** Max syncer processes of one command. */
const MAX_SYNCERS = 64;

type Options = { data: string; bus?: string; credentials?: string; syncers: number; logJson?: boolean };

export function addSyncerCommand(program: Command): void {
  program
    .command('syncer')
    .description('add syncers to a layer, from this host or another one that mounts its data volume')
    .addOption(dataOption('data volume of the layer, as mounted here'))
    .option('--bus <url>', "URL of the layer's nats-server, nats://host:port (default: from the data volume)")
    .option(
      '--credentials <file>',
      "file with the syncers' password for the bus (default: from the data volume)",
    )
    .option('--syncers <n>', 'syncer processes', count, 1)
    .option('--log-json', 'write the complete log of the syncers to stdout, as JSON lines')
    .action(run);
}

/** @throws InvalidArgumentError */
function count(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= MAX_SYNCERS) return number;
  throw new InvalidArgumentError(`write a whole number from 1 to ${MAX_SYNCERS}`);
}

async function run({ data, bus, credentials, syncers, logJson }: Options): Promise<void> {
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end.abort());
  // A closed terminal must not prevent their stop.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const outlets: Outlets = logJson ? { line: printJson, terminal() {} } : { line() {}, terminal: print };
  if (bus !== undefined && !/^(nats|tls):\/\/[^/]+:\d+$/.test(bus)) {
    throw new Refusal(`--bus "${bus}" is not valid: write nats://host:port, such as nats://nats:4222`, 2);
  }
  const joining: JoinOptions = {
    data: resolve(data),
    bus,
    credentials: credentials && resolve(credentials),
    print: outlets.terminal,
  };
  while (!end.signal.aborted) await joinAndRun(joining, syncers, outlets, end.signal);
}

/** Joins the layer, and runs syncers until `signal` aborts or its bus has moved. */
async function joinAndRun(
  joining: JoinOptions,
  syncers: number,
  outlets: Outlets,
  signal: AbortSignal,
): Promise<void> {
  const settings = await joinLayer(joining, signal);
  if (!settings) return;
  const log = new LayerLog(settings.name, outlets);
  const supervisor = new Supervisor(({ program, pid, level, message }) =>
    log.write(program, level, message, { pid }),
  );
  try {
    for (const program of syncerPrograms(syncers, settings, log)) supervisor.add(program);
    outlets.terminal(
      `Joined layer "${settings.name}" at ${settings.busUrl} with ${plural(syncers, 'syncer')}.`,
    );
    await untilMoved(joining, settings.busUrl, signal);
  } finally {
    outlets.terminal('Stopping …');
    await supervisor.stop();
    log.end();
    outlets.terminal('Stopped.');
  }
}
