import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { check } from '#proto/contract/contract.ts';
import { type Static, Type } from '#proto/contract/schema.ts';
import { algorithms, BLOBS } from '#proto/volume/layout.ts';
import type { MayLack } from '../leveldb/log-verdict.ts';

/*
 * `metadata.json`, next to the folder of the metadata: state that must be known before the metadata is opened.
 *
 *   boot     boot id of the machine at the last opening
 *   closed   the metadata was closed cleanly: all of it is synced
 *   made     metadata exists on this volume: if none is found, it was lost
 *   opening  opening that this is the state of: an earlier version, which does not write it, may have opened it since
 */
const MetadataState = Type.Object({
  boot: Type.String(),
  closed: Type.Boolean(),
  made: Type.Boolean(),
  opening: Type.Optional(Type.String()),
});
export type MetadataState = Static<typeof MetadataState>;

/** `METADATA_STATE` for a volume's own metadata: each database has its own. */
const pathOf = (folder: string): string => `${folder}.json`;

/** Undefined if the file is missing or unreadable: nothing is known then. */
export async function readState(folder: string): Promise<MetadataState | undefined> {
  try {
    return check(MetadataState, JSON.parse(await readFile(pathOf(folder), 'utf8')));
  } catch {
    return undefined;
  }
}

/** Synced when it resolves. */
export async function writeState(folder: string, state: MetadataState): Promise<void> {
  const path = pathOf(folder);
  const temporary = `${path}.new`;
  try {
    await using file = await open(temporary, 'w', 0o600);
    await file.writeFile(`${JSON.stringify(state)}\n`);
    await file.sync();
    await rename(temporary, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    // No space: a missing state is at least not a wrong one.
    await rm(temporary, { force: true });
    await rm(path, { force: true });
  }
  await syncFolder(dirname(path));
}

export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

/** Name of LevelDB's own manifest, which changes with each opening; empty if it does not exist. */
export async function openingOf(folder: string): Promise<string> {
  const name = await readFile(join(folder, 'CURRENT'), 'utf8').catch(() => '');
  return name.trim();
}

/** What metadata with this state and this last opening may lack. Pure. */
export function mayLack(state: MetadataState | undefined, boot: string, opening: string): MayLack {
  const isCurrent = state && (state.opening ?? opening) === opening;
  return isCurrent && (state.closed || state.boot === boot) ? 'nothing' : 'unsynced';
}

/** Whether the volume has content. If it has, but neither metadata nor a state, then its metadata is lost. */
export async function hasContent(folder: string): Promise<boolean> {
  const names = await readdir(join(dirname(folder), BLOBS, algorithms[0])).catch(() => []);
  return names.length > 0;
}
