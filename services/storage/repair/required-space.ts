import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { spaceOf } from '#proto/volume/space.ts';

/** Min free space per size of the metadata: a copy, the tables made from its logs, and their compaction. */
const MIN_FREE_FACTOR = 3;

/**
 * @param names files of the metadata
 * @throws Fault `no-space` if a repair might fill the volume
 */
export async function requireSpace(data: string, folder: string, names: string[]): Promise<void> {
  let size = 0;
  for (const name of names) size += (await stat(join(folder, name))).size;
  const { free } = await spaceOf(data, 0);
  if (free >= MIN_FREE_FACTOR * size) return;
  throw new Fault(
    'no-space',
    `a repair needs ${formatBytes(MIN_FREE_FACTOR * size)} of free space, ${MIN_FREE_FACTOR} times the size of the metadata, and ${data} has ${formatBytes(free)}: free space or enlarge the volume, then repair again; nothing was changed`,
  );
}
