import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArchiveList, MAX_LIST_BYTES, readList } from '#proto/archive/list.ts';
import { isListName, listName, setName, signatureName } from '#proto/archive/set-names.ts';
import { MAX_KEY_BYTES } from '#proto/archive/signature.ts';
import { Fault } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { digestOfBytes } from '../book/digest-of-bytes.ts';
import type { Signatures } from './list-keys.ts';

/** Max sets that are read from one folder, and max bytes of their lists. */
const MAX_SETS = 1_000;
const MAX_LISTS_BYTES = 4 * MAX_LIST_BYTES;

/** A set in a folder, of which only the list was read. `digest`: of its list. */
export type FoundSet = { name: string; folder: string; list: ArchiveList; digest: string; signed: boolean };

/** A list that can't be used: one sentence with the remedy. */
export type UnusableList = { file: string; problem: string };

/**
 * Reads the lists of all sets in a folder, and checks their signatures.
 * @param counts whether a file is to be read, by its name
 * @throws Fault `archive-invalid` if the folder can't be read, or has too many sets
 */
export async function findSets(
  folder: string,
  signatures: Signatures,
  counts: (file: string) => boolean = () => true,
): Promise<{ sets: FoundSet[]; unusable: UnusableList[] }> {
  const names = (await entriesOf(folder)).filter((name) => isListName(name) && counts(name)).sort();
  if (names.length > MAX_SETS) {
    throw new Fault(
      'archive-invalid',
      `${folder} has ${names.length} sets, the limit is ${MAX_SETS}: delete those that were imported`,
    );
  }
  await mustFit(folder, names);
  const sets: FoundSet[] = [];
  const unusable: UnusableList[] = [];
  for (const file of names) {
    try {
      sets.push(await readSet(folder, file, signatures));
    } catch (error) {
      if (!Fault.is(error)) throw error;
      unusable.push({ file, problem: `${file} can't be used: ${error.message}` });
    }
  }
  return { sets, unusable };
}

/** All lists are held in memory. @throws Fault `archive-invalid` */
async function mustFit(folder: string, names: readonly string[]): Promise<void> {
  let total = 0;
  for (const name of names) {
    const stats = await stat(join(folder, name)).catch(() => undefined);
    total += Math.min(stats?.size ?? 0, MAX_LIST_BYTES);
  }
  if (total <= MAX_LISTS_BYTES) return;
  throw new Fault(
    'archive-invalid',
    `the lists in ${folder} have ${formatBytes(total)}, the limit is ${formatBytes(MAX_LISTS_BYTES)}: delete the sets that were imported`,
  );
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
