import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOBS } from '#proto/volume/layout.ts';

/** Number of files with content of the volume that this process has open. @param data the volume */
export async function openContent(data: string): Promise<number> {
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  return links.filter((link) => link.startsWith(join(data, BLOBS))).length;
}
