import { Command, type CommanderError } from 'commander';
import { child } from './child.ts';
import { events } from './events.ts';
import { health } from './health.ts';
import { init } from './init.ts';
import { iotedge } from './iotedge.ts';
import { Refusal } from './refusal.ts';
import { replay } from './replay.ts';
import { scope } from './scope.ts';
import { status } from './status.ts';
import { sync } from './sync.ts';
import { syncer } from './syncer.ts';
import { print, printError, singleLine } from './terminal.ts';
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
  try {
    await program.parseAsync(parameters, { from: 'user' });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const lines = error instanceof Refusal ? message.split('\n') : [singleLine(message)];
    for (const line of lines) printError(`terrace: ${line}`);
    process.exit(error instanceof Refusal ? error.exitCode : 1);
  }
  process.exit();
}
