import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { check } from '#proto/contract/contract.ts';
import { algorithms, BLOBS, METADATA_STATE } from '#proto/volume/layout.ts';
import type { MayLack } from '../leveldb/log-verdict.ts';

/*
 * Beside the folder of the metadata lies `metadata.json`: what must be known of them before they are opened.
 *
 *   boot     the boot of the machine in which they were last opened
 *   closed   they were closed in good order: all of them is on the disk
 *   made     there are metadata here: where none are found, they are lost
 *   opening  the opening that this is said of: an earlier version, which says nothing here, may have opened them since
 */
const MetadataState = Type.Object({
  boot: Type.String(),
  closed: Type.Boolean(),
  made: Type.Boolean(),
  opening: Type.Optional(Type.String()),
});
export type MetadataState = Static<typeof MetadataState>;

const pathOf = (folder: string): string => join(dirname(folder), METADATA_STATE);

/** Undefined where there is none yet, or the file can't be read: then nothing is known. */
export async function readState(folder: string): Promise<MetadataState | undefined> {
  try {
    return check(MetadataState, JSON.parse(await readFile(pathOf(folder), 'utf8')));
  } catch {
    return undefined;
  }
}

/** On the disk when it returns. */
export async function writeState(folder: string, state: MetadataState): Promise<void> {
  const path = pathOf(folder);
  const aside = `${path}.new`;
  try {
    await using file = await open(aside, 'w', 0o600);
    await file.writeFile(`${JSON.stringify(state)}\n`);
    await file.sync();
    await rename(aside, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    // What is known no more is true at least.
    await rm(aside, { force: true });
    await rm(path, { force: true });
  }
  await syncFolder(dirname(path));
}

export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

/** The name of LevelDB's own manifest, which is another one after each opening. */
export async function openingOf(folder: string): Promise<string> {
  const name = await readFile(join(folder, 'CURRENT'), 'utf8').catch(() => '');
  return name.trim();
}

/** What may be missing of metadata that were left in this state, and last opened so. Pure. */
export function mayLack(state: MetadataState | undefined, boot: string, opening: string): MayLack {
  const isOfLast = state && (state.opening ?? opening) === opening;
  return isOfLast && (state.closed || state.boot === boot) ? 'nothing' : 'unsynced';
}

/** Content without metadata: those of a volume that has no state yet are lost. */
export async function hasContent(folder: string): Promise<boolean> {
  const names = await readdir(join(dirname(folder), BLOBS, algorithms[0])).catch(() => []);
  return names.length > 0;
}
