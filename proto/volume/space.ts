import { statfs } from 'node:fs/promises';
import type { Space } from '../content/maintenance.ts';
import { Fault } from '../contract/fault.ts';
import { formatBytes } from '../contract/quantity-text.ts';

/** Reserve of free space until a configuration sets one, in bytes. */
export const RESERVE = 512 * 1024 * 1024;

/** Reserve of free inodes: `max`, or this share of all inodes if that is fewer. */
export const INODE_RESERVE = { max: 1_000, share: 1 / 20 };

/** Free space (bytes) and inodes of the data volume, and whether one of them is below its reserve. */
export async function spaceOf(data: string, reserve: number): Promise<Space> {
  const { bavail, bsize, files, ffree } = await statfs(data);
  // Some network file systems report unlimited space.
  const free = Math.min(bavail * bsize, Number.MAX_SAFE_INTEGER);
  const inodes = inodesOf(files, ffree);
  const low = free < reserve || (inodes !== undefined && inodes.free < inodes.reserve);
  return { free, reserve, ...(inodes && { inodes }), low };
}

/** Undefined if the file system does not count inodes, and reports 0 of them. */
function inodesOf(files: number, free: number): Space['inodes'] {
  if (files <= 0 || !Number.isSafeInteger(files) || !Number.isSafeInteger(free) || free < 0) return undefined;
  return { free, reserve: Math.min(INODE_RESERVE.max, Math.ceil(files * INODE_RESERVE.share)) };
}

/** Fault for a volume below its reserve of space or of inodes. */
export function noSpace({ free, reserve, inodes }: Space): Fault {
  const remedy = 'delete unused content and collect garbage, or enlarge the volume';
  if (inodes && free >= reserve) {
    return new Fault(
      'no-space',
      `the data volume has room for ${inodes.free} more files (inodes), less than the reserve of ${inodes.reserve}: ${remedy}`,
      { detail: { inodes: inodes.free, reserve: inodes.reserve } },
    );
  }
  return new Fault(
    'no-space',
    `the data volume has ${formatBytes(free)} free, less than the reserve of ${formatBytes(reserve)}: ${remedy}`,
    { detail: { free, reserve } },
  );
}
