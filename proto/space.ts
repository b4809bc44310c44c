import { statfs } from 'node:fs/promises';
import { Fault } from './fault.ts';
import type { Space } from './upkeep.ts';

/** Free space that is left alone until a configuration says otherwise, in bytes. */
export const RESERVE = 512 * 1024 * 1024;

/** Free space of the data volume, and whether it is below the reserve, in bytes. */
export async function spaceOf(data: string, reserve: number): Promise<Space> {
  const { bavail, bsize } = await statfs(data);
  const free = bavail * bsize;
  return { free, reserve, low: free < reserve };
}

export function noSpace({ free, reserve }: Space): Fault {
  return new Fault(
    'no-space',
    `the data volume has ${mebibytes(free)} free, less than the reserve of ${mebibytes(reserve)}: delete what is not needed and collect garbage, or make the volume larger`,
    { detail: { free, reserve } },
  );
}

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
