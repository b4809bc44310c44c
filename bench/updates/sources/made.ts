import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a file or a folder at `path`, unless it is there. `make` gets another path, which is renamed when it is
 * complete.
 */
export async function made(path: string, make: (part: string) => Promise<unknown>): Promise<string> {
  if (existsSync(path)) return path;
  const part = `${path}.part`;
  await rm(part, { recursive: true, force: true });
  await mkdir(dirname(path), { recursive: true });
  await make(part);
  await rename(part, path);
  return path;
}
