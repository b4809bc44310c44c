import { inspect } from 'node:util';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { refusalOf } from '../terminal/failure.ts';
import { outputFailure, watchOutput, written } from '../terminal/output-end.ts';
import { print, printError } from '../terminal/terminal.ts';

type Define = (program: Command) => void;

/** In the order of the help. A command line loads what its own command needs: most of a start is loading. */
const commands: Record<string, () => Promise<Define>> = {
  up: async () => (await import('./up.ts')).up,
  status: async () => (await import('./status.ts')).status,
  sync: async () => (await import('./sync.ts')).sync,
  syncer: async () => (await import('./syncer.ts')).syncer,
  events: async () => (await import('./events.ts')).events,
  replay: async () => (await import('./replay.ts')).replay,
  token: async () => (await import('./token.ts')).token,
  scope: async () => (await import('./scope.ts')).scope,
  child: async () => (await import('./child.ts')).child,
  gc: async () => (await import('./upkeep.ts')).gc,
  scrub: async () => (await import('./upkeep.ts')).scrub,
  repair: async () => (await import('./repair.ts')).repair,
  init: async () => (await import('./init.ts')).init,
  health: async () => (await import('./health.ts')).health,
  iotedge: async () => (await import('./iotedge.ts')).iotedge,
};

/** The command that is named, or all of them: for the help, and for a name that is none. */
function load([name = '']: string[]): Promise<Define[]> {
  const named = Object.hasOwn(commands, name) ? commands[name] : undefined;
  return Promise.all((named ? [named] : Object.values(commands)).map((define) => define()));
}

/** Carries out one command line, and ends the process: 0 well, 1 failed, 2 not valid. */
export async function main(parameters: string[]): Promise<never> {
  const program = new Command('terrace')
    .description('a connected container registry for layered networks')
    .showHelpAfterError('(terrace --help lists what there is)')
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: (text) => printError(text.trimEnd()),
    })
    .exitOverride();
  for (const define of await load(parameters)) define(program);
  watchOutput();
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  try {
    await program.parseAsync(parameters, { from: 'user' });
  } catch (error) {
    const isSaid = error instanceof CommanderError && !(error instanceof InvalidArgumentError);
    if (isSaid) return end(error.exitCode === 0 ? 0 : 2);
    return fail(error);
  }
  const failure = outputFailure();
  return failure ? fail(failure) : end();
}

/** Not before a reader that is slower than this command has all of its output. */
async function end(exitCode?: number): Promise<never> {
  await written();
  process.exit(exitCode ?? process.exitCode);
}

/** One line for each cause, and no trace unless it is asked for. */
function fail(error: unknown): Promise<never> {
  const { message, exitCode } = refusalOf(error);
  for (const line of message.split('\n')) printError(`terrace: ${line}`);
  if (process.env.TERRACE_LOG === 'debug') printError(inspect(error));
  return end(exitCode);
}
