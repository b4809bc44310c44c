import { enableCompileCache } from 'node:module';
import { COMPILE_CACHE } from './data/node.ts';

// Before anything else is loaded.
enableCompileCache(COMPILE_CACHE);
const { main } = await import('./commands/commands.ts');
await main(process.argv.slice(2));
