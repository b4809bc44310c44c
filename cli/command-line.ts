import { inspect } from 'node:util';
import { type Command, CommanderError } from 'commander';
import { programOf } from './commands/program.ts';
import { refusalOf } from './terminal/failure.ts';
import { terminalWidth, wrapLines } from './terminal/layout.ts';
import { logLine } from './terminal/log-line.ts';
import { flushOutput, outputFailure, watchOutput } from './terminal/output-end.ts';
import { EXIT_USAGE, type Refusal } from './terminal/refusal.ts';
import { printError, printJson, printJsonError } from './terminal/terminal.ts';

/**
 * Life of a command line: `main` loads the named command only; commander parses the options; the action validates its
 * input, connects to the layer or starts processes, and prints a result. Anything thrown on the way becomes a
 * `Refusal`: one line on stderr for each cause, or with `--json` one object. The process exits after its output is
 * flushed.
 */

/** The complete log of a layer goes to stdout; then everything is a line of it. */
const LOG_JSON = '--log-json';

/** Runs one command line and exits the process: see `exitCodes`. */
export async function main(parameters: string[]): Promise<never> {
  const fail = (error: unknown): Promise<never> => end(printFailure(refusalOf(error), parameters, error));
  watchOutput();
  if (parameters.includes(LOG_JSON)) logWarnings(layerIn(parameters));
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
  const program = await programOf(parameters[0]);
  try {
    if (parameters[0] === 'help') await mustExist(program, parameters[1]);
    await program.parseAsync(parameters, { from: 'user' });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) return printFailure(refusalOf(error), parameters, error);
    // Help and the version number are printed already; help that nobody asked for stands for a missing command.
    if (error.exitCode === 0) return 0;
    if (error.code === 'commander.help') return EXIT_USAGE;
    const { usageRefusal } = await import('./input/usage-errors.ts');
    return printFailure(usageRefusal(error, program, parameters), parameters);
  }
}

/** Commander prints the help of all commands in place of that of an unknown one. @throws Refusal */
async function mustExist(program: Command, word: string | undefined): Promise<void> {
  if (word === undefined || word.startsWith('-') || word === 'help') return;
  if (program.commands.some((command) => command.name() === word)) return;
  const { unknownCommandRefusal } = await import('./input/usage-errors.ts');
  throw unknownCommandRefusal(program, word);
}

/** Exits after the output is flushed: its reader may be slower than this command. */
async function end(exitCode?: number): Promise<never> {
  await flushOutput();
  process.exit(exitCode ?? process.exitCode);
}

/**
 * Prints one line for each cause, or with `--json` one object, with `--log-json` lines of the log; a stack trace only
 * with TERRACE_LOG=debug.
 * @returns the exit code
 */
function printFailure({ message, code, exitCode }: Refusal, parameters: string[], error?: unknown): number {
  if (parameters.includes('--json')) {
    printJsonError(JSON.stringify({ error: { code, message, exitCode } }));
    return exitCode;
  }
  if (parameters.includes(LOG_JSON)) {
    for (const line of message.split('\n')) {
      printJson(logLine('fatal', layerIn(parameters), line, { code, exitCode }));
    }
    return exitCode;
  }
  for (const line of message.split('\n')) printError(forReader(`terrace: ${line}`));
  if (process.env.TERRACE_LOG === 'debug') printError(inspect(error));
  return exitCode;
}

/** Wrapped for a terminal only: others search the lines. */
function forReader(line: string): string {
  const { stderr } = process;
  return stderr.isTTY ? wrapLines(line, terminalWidth(stderr)) : line;
}

/** In place of Node, which writes warnings as text. */
function logWarnings(layer: string): void {
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => printJson(logLine('warn', layer, message, { name })));
}

/** The name of the layer, as far as it is known before the configuration is read. */
function layerIn(parameters: string[]): string {
  const at = parameters.indexOf('--name');
  return (at >= 0 && parameters[at + 1]) || 'layer';
}
