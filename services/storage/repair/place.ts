import { cp, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { METADATA, REPAIRS } from '#proto/volume/layout.ts';
import { bootId } from '../metadata/boot.ts';
import { isFree } from '../metadata/database.ts';
import { openingOf, syncFolder, writeState } from '../metadata/metadata-state.ts';
import { namesOf } from './salvage.ts';

/*
 *   <data>/repair/<time>/metadata/    what was there before, as it was
 *   <data>/repair/<time>/report.txt   what is lost, and what was brought back
 *   <data>/repair/<time>/rebuilt/     the new metadata, until they take the place of the old ones
 */
const REBUILT = 'rebuilt';
export const rebuiltIn = (place: string): string => join(place, REBUILT);

/** Its name, and that of the folder above it, are on the disk when it returns: the only metadata are moved there. */
export async function makePlace(data: string, place: string): Promise<void> {
  await mkdir(place, { recursive: true, mode: 0o700 });
  await syncFolder(join(data, REPAIRS));
  await syncFolder(data);
}

/** What of metadata changes as soon as somebody opens or writes them. */
export async function stateOf(folder: string): Promise<string> {
  const sizes: string[] = [];
  for (const name of (await namesOf(folder)).sort()) {
    sizes.push(`${name} ${(await stat(join(folder, name))).size}`);
  }
  return [await openingOf(folder), ...sizes].join('\n');
}

/** @param before the state of the metadata when their repair began @throws Fault `busy` where it is another one now */
export async function demandUnchanged(folder: string, before: string): Promise<void> {
  if ((await isFree(folder)) && (await stateOf(folder)) === before) return;
  throw new Fault(
    'busy',
    `somebody used the metadata in ${folder} during their repair, which changed nothing: stop the layer, then repair again`,
  );
}

export async function syncPlace(place: string): Promise<void> {
  const rebuilt = rebuiltIn(place);
  for (const name of await readdir(rebuilt)) {
    await using file = await open(join(rebuilt, name), 'r');
    await file.sync();
  }
  await syncFolder(rebuilt);
  await syncFolder(place);
}

/** Each step is on the disk before the next one. */
export async function takePlace(folder: string, place: string): Promise<void> {
  const old = join(place, METADATA);
  if (await isThere(folder)) await rename(folder, old);
  else await mkdir(old);
  if (await isThere(`${folder}.json`)) await cp(`${folder}.json`, `${old}.json`);
  await syncFolder(place);
  await putInPlace(folder, place);
}

async function putInPlace(folder: string, place: string): Promise<void> {
  await writeState(folder, { boot: await bootId(), closed: true, made: true });
  await rename(rebuiltIn(place), folder);
  await syncFolder(join(folder, '..'));
}

/** Whether a repair took the old metadata out, and did not put the new ones in. */
export async function isCutOff(data: string): Promise<boolean> {
  for await (const { isComplete } of unfinished(data)) {
    if (isComplete && !(await isThere(join(data, METADATA)))) return true;
  }
  return false;
}

/** The old metadata were taken out, and the new ones not put in. All else of a repair that was cut off is of no use. */
export async function finishCutOff(data: string, folder: string): Promise<string | undefined> {
  let finished: string | undefined;
  for await (const { place, isComplete } of unfinished(data)) {
    if (isComplete && !finished && !(await isThere(folder))) {
      await putInPlace(folder, place);
      finished = place;
    } else await rm(isComplete ? rebuiltIn(place) : place, { recursive: true });
  }
  return finished;
}

async function* unfinished(data: string): AsyncGenerator<{ place: string; isComplete: boolean }> {
  const repairs = join(data, REPAIRS);
  const names = await readdir(repairs).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw error;
  });
  for (const name of names) {
    const place = join(repairs, name);
    if (!(await isThere(rebuiltIn(place)))) continue;
    yield { place, isComplete: await isThere(join(place, METADATA)) };
  }
}

/** @throws where nobody can tell: what is taken for absent is replaced, or taken away */
async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
