import { mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SCRATCH } from '#proto/volume/layout.ts';

/** Scratch files have a name until they are open: what has one for this long is left of a process that was killed. */
const LEFT_MS = 60 * 60_000;

/** @returns the folder for scratch files, absolute; it exists, and has no old ones */
export async function openScratch(data: string): Promise<string> {
  const folder = join(data, SCRATCH);
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    try {
      if ((await stat(path)).mtimeMs < Date.now() - LEFT_MS) await unlink(path);
    } catch {
      // Another syncer deletes the same files.
    }
  }
  return folder;
}
