import { Command, type CommanderError } from 'commander';
import { Refusal } from './refusal.ts';
import { status } from './status.ts';
import { sync } from './sync.ts';
import { up } from './up.ts';

const program = new Command('terrace')
  .description('a connected container registry for layered networks')
  .showHelpAfterError('(terrace --help lists what there is)')
  // A command line that is not valid ends with 2, as do all settings that are not.
  .exitOverride((error: CommanderError) => process.exit(error.exitCode === 0 ? 0 : 2));
for (const command of [up, status, sync]) command(program);

try {
  await program.parseAsync();
  // A signal that ended the work ends it well.
  process.exit();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  for (const line of error.message.split('\n')) console.error(`terrace: ${line}`);
  process.exit(error.exitCode);
}
