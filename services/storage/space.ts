import { statfs } from 'node:fs/promises';
import type { Space } from '#proto/upkeep.ts';

/** Free space of the data volume, and whether it is below the reserve, in bytes. */
export async function spaceOf(data: string, reserve: number): Promise<Space> {
  const { bavail, bsize } = await statfs(data);
  const free = bavail * bsize;
  return { free, reserve, low: free < reserve };
}
