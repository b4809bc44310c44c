import { inspect } from 'node:util';
import { Command, type CommanderError } from 'commander';
import { child } from './child.ts';
import { events } from './events.ts';
import { refusalOf } from './failure.ts';
import { health } from './health.ts';
import { init } from './init.ts';
import { iotedge } from './iotedge.ts';
import { outputFailure, watchOutput } from './output.ts';
import { repair } from './repair.ts';
import { replay } from './replay.ts';
import { scope } from './scope.ts';
import { status } from './status.ts';
import { sync } from './sync.ts';
import { syncer } from './syncer.ts';
import { print, printError } from './terminal.ts';
import { token } from './token.ts';
import { up } from './up.ts';
import { gc, scrub } from './upkeep.ts';

const commands = [
  up,
  status,
  sync,
  syncer,
  events,
  replay,
  token,
  scope,
  child,
  gc,
  scrub,
  repair,
  init,
  health,
  iotedge,
];

/** Carries out one command line, and ends the process: 0 well, 1 failed, 2 not valid. */
export async function main(parameters: string[]): Promise<never> {
  const program = new Command('terrace')
    .description('a connected container registry for layered networks')
    .showHelpAfterError('(terrace --help lists what there is)')
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: (text) => printError(text.trimEnd()),
    })
    .exitOverride((error: CommanderError) => process.exit(error.exitCode === 0 ? 0 : 2));
  for (const command of commands) command(program);
  watchOutput();
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  try {
    await program.parseAsync(parameters, { from: 'user' });
  } catch (error) {
    fail(error);
  }
  const failure = outputFailure();
  if (failure) fail(failure);
  process.exit();
}

/** One line for each cause, and no trace unless it is asked for. */
function fail(error: unknown): never {
  const { message, exitCode } = refusalOf(error);
  for (const line of message.split('\n')) printError(`terrace: ${line}`);
  if (process.env.TERRACE_LOG === 'debug') printError(inspect(error));
  process.exit(exitCode);
}
