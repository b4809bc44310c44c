import { enableCompileCache } from 'node:module';
import { COMPILE_CACHE } from './data/node.ts';

/**
 * Entry point of the `terrace` command: one folder for each step of its life.
 *
 * The shell script `terrace` finds Node and starts this file, which turns on the compile cache and passes the command
 * line to commands/. A command checks its input (input/), finds or creates the data folder (data/), connects to the
 * layer that runs there (connection/) or starts processes (layer/), formats the result (text/, iotedge/) and prints it
 * (terminal/).
 *
 * The bash script `health` is the container engines' health check, without Node. warm.ts fills the compile cache at
 * installation.
 */

// Must be enabled before any other module is loaded.
enableCompileCache(COMPILE_CACHE);
const { main } = await import('./commands/commands.ts');
await main(process.argv.slice(2));
