import { enableCompileCache } from 'node:module';
import { COMPILE_CACHE } from './node.ts';

// Before anything else is loaded.
enableCompileCache(COMPILE_CACHE);
const { main } = await import('./commands.ts');
await main(process.argv.slice(2));
