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
 * Each file of text/ formats one topic, as lines or as a table, and prints nothing. A `LayerStatus` becomes the
 * sections of `terrace status` (layer-text, link-text, sync-text, rate-text, below-text, webhook-text, syncer-text).
 * Stored events become lines (event-text) or states of transfers (replay-state); the events of a running pass become
 * the progress of its images (image-progress, progress-lines, progress). Accounts and children become tables
 * (token-text, child-text). welcome.ts has the first text that a person sees.
 *
 * The bash script `health` is the container engines' health check, without Node. warm.ts fills the compile cache at
 * installation.
 */

// Must be enabled before any other module is loaded.
enableCompileCache(COMPILE_CACHE);
const { setAddressTimeout } = await import('#proto/process/address-timeout.ts');
setAddressTimeout();
const { main } = await import('./command-line.ts');
await main(process.argv.slice(2));
