import { mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SKETCHES } from '#proto/volume/layout.ts';

/** Max sketches that are kept, of up to 32 KiB each. */
export const MAX_SKETCHES = 1_000;

/** @returns the folder for sketches, absolute; it exists, and has `max` files at most: the last used ones */
export async function openSketches(data: string, max = MAX_SKETCHES): Promise<string> {
  const folder = join(data, SKETCHES);
  await mkdir(folder, { recursive: true });
  const names = await readdir(folder);
  if (names.length <= max) return folder;
  const files: { path: string; usedMs: number }[] = [];
  for (const name of names) {
    const path = join(folder, name);
    try {
      files.push({ path, usedMs: (await stat(path)).mtimeMs });
    } catch {
      // Another syncer deletes the same files.
    }
  }
  files.sort((one, other) => other.usedMs - one.usedMs);
  for (const { path } of files.slice(max)) await unlink(path).catch(() => {});
  return folder;
}
