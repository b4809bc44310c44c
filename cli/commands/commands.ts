import { inspect } from 'node:util';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { refusalOf } from '../terminal/failure.ts';
import { flushOutput, outputFailure, watchOutput } from '../terminal/output-end.ts';
import { print, printError } from '../terminal/terminal.ts';

/**
 * The commands of `terrace`, each in a file of its name in a folder for its purpose: run/ the processes of a layer,
 * observe/ a running layer, sync/ with the parent, accounts/ of clients and children, upkeep/ of the stored content.
 * `gc` and `scrub` share maintenance.ts, `pause` and `resume` share pause.ts, and hash.ts is the action of
 * `terrace token hash`. `add…Command` of a file declares the command on commander, with its options and its action.
 *
 * Life of a command line: `main` loads the named command only; commander parses the options; the action validates its
 * input, connects to the layer or starts processes, and prints a result. Anything thrown on the way becomes a
 * `Refusal`, one line on stderr for each cause. The process exits after its output is flushed.
 */

type Define = (program: Command) => void;

/** In the order of the help. Loaded on demand, as loading takes the largest part of a start. */
const commands: Record<string, () => Promise<Define>> = {
  up: async () => (await import('./run/up.ts')).addUpCommand,
  status: async () => (await import('./observe/status.ts')).addStatusCommand,
  sync: async () => (await import('./sync/sync.ts')).addSyncCommand,
  pause: async () => (await import('./sync/pause.ts')).addPauseCommand,
  resume: async () => (await import('./sync/pause.ts')).addResumeCommand,
  syncer: async () => (await import('./run/syncer.ts')).addSyncerCommand,
  events: async () => (await import('./observe/events.ts')).addEventsCommand,
  replay: async () => (await import('./observe/replay.ts')).addReplayCommand,
  token: async () => (await import('./accounts/token.ts')).addTokenCommand,
  scope: async () => (await import('./accounts/scope.ts')).addScopeCommand,
  child: async () => (await import('./accounts/child.ts')).addChildCommand,
  gc: async () => (await import('./upkeep/maintenance.ts')).addGcCommand,
  scrub: async () => (await import('./upkeep/maintenance.ts')).addScrubCommand,
  repair: async () => (await import('./upkeep/repair.ts')).addRepairCommand,
  init: async () => (await import('./run/init.ts')).addInitCommand,
  health: async () => (await import('./run/health.ts')).addHealthCommand,
  iotedge: async () => (await import('./iotedge.ts')).addIotedgeCommand,
};

/** `terrace` with the named command; with all of them for the help, and for an unknown name. */
export async function programOf(name = ''): Promise<Command> {
  const named = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const program = new Command('terrace')
    .description('a connected container registry for layered networks')
    .showHelpAfterError('(terrace --help lists all commands)')
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: (text) => printError(text.trimEnd()),
    })
    .exitOverride();
  const defines = await Promise.all((named ? [named] : Object.values(commands)).map((load) => load()));
  for (const define of defines) define(program);
  return program;
}

/** Runs one command line and exits the process: see `exitCodes`. */
export async function main(parameters: string[]): Promise<never> {
  watchOutput();
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  const exitCode = await runCommandLine(parameters);
  const failure = exitCode === undefined && outputFailure();
  return failure ? fail(failure) : end(exitCode);
}

/**
 * Runs one command line and prints its error.
 * @returns the exit code of the error; undefined without one: then `process.exitCode` applies
 */
export async function runCommandLine(parameters: string[]): Promise<number | undefined> {
  try {
    const program = await programOf(parameters[0]);
    await program.parseAsync(parameters, { from: 'user' });
    return undefined;
  } catch (error) {
    const isReported = error instanceof CommanderError && !(error instanceof InvalidArgumentError);
    return isReported ? (error.exitCode === 0 ? 0 : 2) : printFailure(error);
  }
}

/** Exits after the output is flushed: its reader may be slower than this command. */
async function end(exitCode?: number): Promise<never> {
  await flushOutput();
  process.exit(exitCode ?? process.exitCode);
}

const fail = (error: unknown): Promise<never> => end(printFailure(error));

/** Prints one line for each cause; a stack trace only with TERRACE_LOG=debug. @returns the exit code */
function printFailure(error: unknown): number {
  const { message, exitCode } = refusalOf(error);
  for (const line of message.split('\n')) printError(`terrace: ${line}`);
  if (process.env.TERRACE_LOG === 'debug') printError(inspect(error));
  return exitCode;
}
