import { join } from 'node:path';

/** How Node runs here: as little memory as costs no speed. `cli/terrace` and docker-compose.yml say the same. */

export const NODE_FLAGS = [
  // Services hold little and pass much through: a small young generation saves 10 MB each.
  '--max-semi-space-size=2',
  // WebAssembly (undici's parser, the type stripper) without its optimising compiler: saves 10 MB, and starts sooner.
  '--liftoff-only',
  // What only the start of a process needed is given back once it has started: services/process/run.ts.
  '--expose-gc',
];

/** Node keeps compiled code here: a process starts in a fourth of the time, and never loads the type stripper. */
export const COMPILE_CACHE =
  process.env.NODE_COMPILE_CACHE ?? join(import.meta.dirname, '../../node_modules/.cache/terrace');

/** One arena of malloc for all threads: they allocate little, and each of their own would hold some MB. */
export const NODE_ENV = { NODE_COMPILE_CACHE: COMPILE_CACHE, MALLOC_ARENA_MAX: '1' };
