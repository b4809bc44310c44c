import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setName } from '#proto/archive/set-names.ts';

/** Files of sets, by their names: see proto/archive/set-names.ts. */
const OF_A_SET = /^terrace-[a-z0-9-]{3,140}-\d{6}-[a-z0-9.-]+$/;
const LIST_END = '-list.json';
/** Max files whose size and time are read. */
const MAX_FILES = 20_000;
const DIGITS = 6;

/** What is in a folder of archives. */
export type FolderListing = {
  /** Equal for two listings if no file of a set was added, removed or changed between them. */
  fingerprint: string;
  /** Whether a set may be complete: its list is there. */
  hasList: boolean;
};

/** @throws the error of the file system if the folder can't be read */
export async function listFolder(folder: string): Promise<FolderListing> {
  const names = (await readdir(folder)).filter((name) => OF_A_SET.test(name)).sort();
  const parts: string[] = [];
  for (const name of names.slice(0, MAX_FILES)) {
    // One that is deleted meanwhile makes a difference, too.
    const stats = await stat(join(folder, name)).catch(() => undefined);
    parts.push(`${name} ${stats?.size} ${stats?.mtimeMs}`);
  }
  return {
    fingerprint: `${names.length}\n${parts.join('\n')}`,
    hasList: names.some((name) => name.endsWith(LIST_END)),
  };
}

/**
 * Deletes the sets from one layer for another one up to a number, the lists first: a set without a list does not exist.
 * @returns how many files
 */
export async function deleteSets(
  folder: string,
  { sender, target, upTo }: { sender: string; target: string; upTo: number },
): Promise<number> {
  const begin = setName(sender, target, 0).slice(0, -DIGITS);
  const names = (await readdir(folder)).filter((name) => {
    if (!OF_A_SET.test(name) || !name.startsWith(begin)) return false;
    const digits = name.slice(begin.length, begin.length + DIGITS);
    return /^\d{6}$/.test(digits) && Number(digits) <= upTo;
  });
  const isList = (name: string) => name.endsWith(LIST_END);
  for (const name of [...names.filter(isList), ...names.filter((one) => !isList(one))]) {
    await rm(join(folder, name), { force: true });
  }
  return names.length;
}
