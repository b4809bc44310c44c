import { inspect } from 'node:util';
import { CommanderError, InvalidArgumentError } from 'commander';
import { programOf } from './commands/commands.ts';
import { refusalOf } from './terminal/failure.ts';
import { flushOutput, outputFailure, watchOutput } from './terminal/output-end.ts';
import { printError } from './terminal/terminal.ts';

/**
 * Life of a command line: `main` loads the named command only; commander parses the options; the action validates its
 * input, connects to the layer or starts processes, and prints a result. Anything thrown on the way becomes a
 * `Refusal`, one line on stderr for each cause. The process exits after its output is flushed.
 */

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
