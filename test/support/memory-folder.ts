import { mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from '#proto/process/process-stat.ts';

/**
 * Temporary folders of the tests are in memory where there is room: layers write little, but flush it often, and the
 * tests of storage take twice as long on a disk. `TMPDIR=/tmp npm test` uses the disk, as the long forms of tests do.
 */

const MEMORY = '/dev/shm';
/** TMPFS_MAGIC of statfs(2). */
const TMPFS = 0x01021994;
/** Free on the tmpfs, and of the memory: several times what a run ever uses. */
const MIN_FREE_BYTES = 8 * 1024 ** 3;
/** Short: podman refuses paths of more than 50 characters. */
const PREFIX = 'trc-';

/** @returns a function that deletes the folder */
export function useMemoryFolder(): () => void {
  const { TMPDIR, TERRACE_FULL } = process.env;
  if (TMPDIR || TERRACE_FULL || !hasRoom()) return () => {};
  deleteLeftOvers();
  const folder = join(MEMORY, `${PREFIX}${process.pid}`);
  mkdirSync(folder);
  process.env.TMPDIR = folder;
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function hasRoom(): boolean {
  try {
    const { type, bavail, bsize } = statfsSync(MEMORY);
    return type === TMPFS && Math.min(bavail * bsize, process.availableMemory()) >= MIN_FREE_BYTES;
  } catch {
    return false;
  }
}

/** Of runs that were killed. */
function deleteLeftOvers(): void {
  for (const name of readdirSync(MEMORY).filter((each) => each.startsWith(PREFIX)))
    if (!isAlive(Number(name.slice(PREFIX.length))))
      rmSync(join(MEMORY, name), { recursive: true, force: true });
}
