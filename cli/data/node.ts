import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Node's flags and environment: as little memory as costs no speed. Keep `cli/terrace` and docker-compose.yml in step.
 * A flag that changes what V8 compiles is not among them: Node would compile its own modules at each start.
 */

export const NODE_FLAGS = [
  // Services retain little and stream much: a small young generation saves 10 MB each.
  '--max-semi-space-size=2',
];

/** Node's compile cache: a process starts in a quarter of the time, and never loads the type stripper. */
export const COMPILE_CACHE =
  process.env.NODE_COMPILE_CACHE ?? join(import.meta.dirname, '../../node_modules/.cache/terrace');

/** One malloc arena for all threads: they allocate little, and an arena for each thread would retain some MB. */
export const NODE_ENV = { NODE_COMPILE_CACHE: COMPILE_CACHE, MALLOC_ARENA_MAX: '1' };

/** How a person calls the command: a clone, with npm's list of what it installed, has it in no folder of the path. */
export const COMMAND = existsSync(join(import.meta.dirname, '../../node_modules/.package-lock.json'))
  ? 'npx terrace'
  : 'terrace';
