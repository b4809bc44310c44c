import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArchiveList, MAX_LIST_BYTES, readList } from '#proto/archive/list.ts';
import { isListName, listName, setName, signatureName } from '#proto/archive/set-names.ts';
import { MAX_KEY_BYTES } from '#proto/archive/signature.ts';
import { Fault } from '#proto/contract/fault.ts';
import { digestOfBytes } from '../book/digest-of-bytes.ts';
import type { Signatures } from './list-keys.ts';

/** What is held in memory at a time: sets, and bytes of their lists. */
export type PageLimits = { sets: number; bytes: number };
export const PAGE: PageLimits = { sets: 1_000, bytes: 4 * MAX_LIST_BYTES };

/** A set in a folder, of which only the list was read. `digest`: of its list. */
export type FoundSet = { name: string; folder: string; list: ArchiveList; digest: string; signed: boolean };

/** A list that can't be used: one sentence with the remedy. */
export type UnusableList = { file: string; problem: string };

/**
 * The files with the lists of all sets in a folder, in pages that fit into memory: of each sender, the oldest first.
 * @param counts whether a file is to be read, by its name
 * @throws Fault `archive-invalid` if the folder can't be read
 */
export async function pagesOfLists(
  folder: string,
  counts: (file: string) => boolean,
  { sets, bytes }: PageLimits = PAGE,
): Promise<string[][]> {
  // The numbers in the names have six digits.
  const files = (await entriesOf(folder)).filter((name) => isListName(name) && counts(name)).sort();
  const pages: string[][] = [];
  let page: string[] = [];
  let total = 0;
  for (const file of files) {
    const stats = await stat(join(folder, file)).catch(() => undefined);
    const size = Math.min(stats?.size ?? 0, MAX_LIST_BYTES);
    if (page.length > 0 && (page.length === sets || total + size > bytes)) {
      pages.push(page);
      page = [];
      total = 0;
    }
    page.push(file);
    total += size;
  }
  return page.length > 0 ? [...pages, page] : pages;
}

/** Reads the lists of a page, and checks their signatures. */
export async function readSets(
  folder: string,
  files: readonly string[],
  signatures: Signatures,
): Promise<{ sets: FoundSet[]; unusable: UnusableList[] }> {
  const sets: FoundSet[] = [];
  const unusable: UnusableList[] = [];
  for (const file of files) {
    try {
      sets.push(await readSet(folder, file, signatures));
    } catch (error) {
      if (!Fault.is(error)) throw error;
      unusable.push({ file, problem: `${file} can't be used: ${error.message}` });
    }
  }
  return { sets, unusable };
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Fault(
      'archive-invalid',
      `${folder} can't be read (${code}): mount the disk, or name the folder with the sets, as the layer sees it`,
      { cause },
    );
  }
}

async function readSet(folder: string, file: string, signatures: Signatures): Promise<FoundSet> {
  const bytes = await readBounded(join(folder, file), MAX_LIST_BYTES);
  const name = file.slice(0, -listName('').length);
  const signature = await readBounded(join(folder, signatureName(name)), MAX_KEY_BYTES).catch(
    () => undefined,
  );
  const needsSender = signatures.dependOnSender(name);
  let signed = !needsSender && (await signatures.check(undefined, bytes, signature));
  const list = readList(bytes);
  const { sender, target, number } = list;
  if (setName(sender.layer, target.name, number) !== name) {
    throw new Fault('malformed', 'it is of another set than its name says: copy the files again');
  }
  if (needsSender) signed = await signatures.check(sender.layer, bytes, signature);
  return { name, folder, list, digest: digestOfBytes(bytes), signed };
}

async function readBounded(path: string, maxBytes: number): Promise<Buffer> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats?.isFile()) throw new Fault('archive-invalid', 'it is not a file: copy it again');
  if (stats.size > maxBytes) {
    throw new Fault('too-large', `it has ${stats.size} bytes, the limit is ${maxBytes}`);
  }
  try {
    return await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Fault('archive-invalid', `it can't be read (${code}): copy it again`, { cause });
  }
}
