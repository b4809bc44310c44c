import { cp, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { METADATA, REPAIRS, repairFiles } from '#proto/volume/layout.ts';
import { bootIdOrRandom } from '../metadata/boot.ts';
import { openingOf, syncFolder, writeState } from '../metadata/metadata-state.ts';
import { isFree } from '../metadata/open-level.ts';
import { namesOf } from './salvage.ts';

/*
 *   <data>/repair/<time>/metadata/    the old metadata, unchanged
 *   <data>/repair/<time>/report.txt   lost and restored records
 *   <data>/repair/<time>/rebuilt/     the new metadata, until it replaces the old metadata
 */
export const rebuiltIn = (repairFolder: string): string => repairFiles(repairFolder).rebuilt;

/** Creates the folder of a repair. Its name and its parent folder's are synced: the only metadata is moved there. */
export async function createRepairFolder(data: string, repairFolder: string): Promise<void> {
  await mkdir(repairFolder, { recursive: true, mode: 0o700 });
  await syncFolder(join(data, REPAIRS));
  await syncFolder(data);
}

/** A fingerprint of metadata that changes as soon as a process opens or writes the metadata. */
export async function stateOf(folder: string): Promise<string> {
  const sizes: string[] = [];
  for (const name of (await namesOf(folder)).sort()) {
    sizes.push(`${name} ${(await stat(join(folder, name))).size}`);
  }
  return [await openingOf(folder), ...sizes].join('\n');
}

/**
 * @param before `stateOf` the metadata when the repair began
 * @throws Fault `busy` if a process has the metadata open, or if its state is another one now
 */
export async function requireUnchanged(folder: string, before: string): Promise<void> {
  if ((await isFree(folder)) && (await stateOf(folder)) === before) return;
  throw new Fault(
    'busy',
    `the metadata in ${folder} was used during its repair, and nothing was changed: stop the layer, then repair again`,
  );
}

export async function syncRepairFolder(repairFolder: string): Promise<void> {
  const rebuilt = rebuiltIn(repairFolder);
  for (const name of await readdir(rebuilt)) {
    await using file = await open(join(rebuilt, name), 'r');
    await file.sync();
  }
  await syncFolder(rebuilt);
  await syncFolder(repairFolder);
}

/** Moves the old metadata out and the new metadata in. Each step is synced before the next one. */
export async function replaceMetadata(folder: string, repairFolder: string): Promise<void> {
  const old = join(repairFolder, METADATA);
  if (await exists(folder)) await rename(folder, old);
  else await mkdir(old);
  if (await exists(`${folder}.json`)) await cp(`${folder}.json`, `${old}.json`);
  await syncFolder(repairFolder);
  await putInPlace(folder, repairFolder);
}

async function putInPlace(folder: string, repairFolder: string): Promise<void> {
  await writeState(folder, { boot: await bootIdOrRandom(), closed: true, made: true });
  await rename(rebuiltIn(repairFolder), folder);
  await syncFolder(join(folder, '..'));
}

/** Whether a repair was interrupted after it moved the old metadata out, and before it moved the new metadata in. */
export async function isInterrupted(data: string): Promise<boolean> {
  for await (const { isComplete } of findUnfinished(data)) {
    if (isComplete && !(await exists(join(data, METADATA)))) return true;
  }
  return false;
}

/**
 * Finishes a repair that was interrupted between moving the old metadata out and the new metadata in. Deletes the
 * unusable remains of other interrupted repairs.
 * @returns the folder of the finished repair
 */
export async function finishInterrupted(data: string, folder: string): Promise<string | undefined> {
  let finished: string | undefined;
  for await (const { repairFolder, isComplete } of findUnfinished(data)) {
    if (isComplete && !finished && !(await exists(folder))) {
      await putInPlace(folder, repairFolder);
      finished = repairFolder;
    } else await rm(isComplete ? rebuiltIn(repairFolder) : repairFolder, { recursive: true });
  }
  return finished;
}

async function* findUnfinished(data: string): AsyncGenerator<{ repairFolder: string; isComplete: boolean }> {
  const repairs = join(data, REPAIRS);
  const names = await readdir(repairs).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw error;
  });
  for (const name of names) {
    const repairFolder = join(repairs, name);
    if (!(await exists(rebuiltIn(repairFolder)))) continue;
    yield { repairFolder, isComplete: await exists(join(repairFolder, METADATA)) };
  }
}

/** @throws any error but ENOENT: a path that counts as missing is replaced or deleted */
async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
