import { join } from 'node:path';

/** Node keeps compiled code here: a process starts in a fourth of the time, and never loads the type stripper. */
export const COMPILE_CACHE =
  process.env.NODE_COMPILE_CACHE ?? join(import.meta.dirname, '../node_modules/.cache/terrace');
