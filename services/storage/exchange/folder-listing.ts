import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { listName, setName } from '#proto/archive/set-names.ts';

/** Files of sets, by their names: see proto/archive/set-names.ts. */
const OF_A_SET = /^terrace-[a-z0-9-]{3,140}-\d{6}-[a-z0-9.-]+$/;
const LIST_END = '-list.json';
/** Max files whose size and time are read. */
const MAX_FILES = 20_000;
const DIGITS = 6;
/** A list ends with its sender and its target; they take less than this. */
const TAIL_BYTES = 1_024;
const PARTIES = /"sender":\{[^{}]*"layer":"([a-z0-9-]+)"[^{}]*\}.*"target":\{[^{}]*"name":"([a-z0-9-]+)"/;

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
  const setOf = (name: string) => name.slice(0, begin.length + DIGITS);
  const others = new Set<string>();
  for (const set of new Set(names.map(setOf))) {
    if (await isOfOthers(join(folder, listName(set)), sender, target)) others.add(set);
  }
  const own = names.filter((name) => !others.has(setOf(name)));
  const isList = (name: string) => name.endsWith(LIST_END);
  for (const name of [...own.filter(isList), ...own.filter((one) => !isList(one))]) {
    await rm(join(folder, name), { force: true });
  }
  return own.length;
}

/**
 * Whether a list has another sender or target than its name suggests: a set from `a` for `b-c` has the same name as one
 * from `a-b` for `c`. One that can't be read, or is damaged, is of nobody else.
 */
async function isOfOthers(path: string, sender: string, target: string): Promise<boolean> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const position = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, position);
    const parties = PARTIES.exec(buffer.toString('latin1', 0, bytesRead));
    return parties !== null && (parties[1] !== sender || parties[2] !== target);
  } catch {
    return false;
  }
}
