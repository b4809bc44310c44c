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
  const none = inodes?.free === 0 ? 'room for no more files (inodes)' : free === 0 ? 'no byte free' : '';
  if (none === '') return;
  throw new Refusal(
    `--data: the volume of ${data} has ${none}: delete there what is not of Terrace, or unfinished uploads (folders ingest/upload-*), or make it larger`,
  );
}
