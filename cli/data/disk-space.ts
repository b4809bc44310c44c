import { existsSync } from 'node:fs';
import { Ballast } from '#proto/volume/ballast.ts';
import { spaceOf } from '#proto/volume/space.ts';
import { Refusal } from '../terminal/refusal.ts';

/**
 * On a full data volume, releases the space that Terrace reserves there for this case (proto/volume/ballast.ts). To be
 * called before anything is written: without free space, not even a nats-server starts.
 */
export async function releaseBallast(data: string): Promise<void> {
  if (existsSync(data)) await new Ballast(data).giveBack(await spaceOf(data, 0));
}

/** @throws Refusal if the volume has no free byte or no free inode */
export async function requireSpaceToStart(data: string): Promise<void> {
  const { free, inodes } = await spaceOf(data, 0);
  const none = inodes?.free === 0 ? 'no free inodes' : free === 0 ? 'no free space' : '';
  if (none === '') return;
  throw new Refusal(
    `--data: the volume of ${data} has ${none}: delete files that do not belong to Terrace, or unfinished uploads (folders ingest/upload-*), or enlarge the volume`,
  );
}
