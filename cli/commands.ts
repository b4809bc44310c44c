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
    .exitOverride((error: CommanderError) => process.exit(error.exitCode === 0 ? 0 : 2));
  for (const command of commands) command(program);
  try {
    await program.parseAsync(parameters, { from: 'user' });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    for (const line of error.message.split('\n')) console.error(`terrace: ${line}`);
    process.exit(error.exitCode);
  }
  process.exit();
}
