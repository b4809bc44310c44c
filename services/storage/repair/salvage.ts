import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { Fault } from '#proto/contract/fault.ts';
import {
  closedManifestOf,
  type Files,
  type Finding,
  filesOf,
  liveLogs,
  manifestOf,
} from '../leveldb/examine.ts';
import { logOf, partsOf } from '../leveldb/log-records.ts';
import type { Manifest } from '../leveldb/manifest.ts';
import { damageOf, typeAt } from '../leveldb/table.ts';
import { copyReadable, isUnreadable, type Range, type Read } from './copy.ts';
import { type Remnants, remnantsIn } from './remnants.ts';
import { notTakenOver } from './repair-log.ts';

/** A type that no block has: LevelDB, which does not look at the checksums of blocks, leaves such a one out. */
const NO_TYPE = 0xff;
const LOG_OR_TABLE = /^\d+\.(log|ldb|sst)$/;
const DATABASE = /^(CURRENT|MANIFEST-\d+|\d+\.(log|ldb|sst))$/;

export type Salvaged = {
  findings: Finding[];
  /** Bytes that are damaged or can't be read, and the entries that stand in them as far as they can be made out. */
  damaged: (Remnants & { finding: Finding })[];
};

/**
 * Copies a damaged LevelDB to `work`, without what is damaged in it, and lets LevelDB repair that. LevelDB's own repair
 * takes damaged bytes for what they seem to be, and puts back what was deleted: it looks at no checksum and at no
 * manifest. So it gets only what belongs to the database and is as it was written.
 */
export async function salvage(folder: string, work: string, read: Read): Promise<Salvaged> {
  const found: Salvaged = { findings: [], damaged: [] };
  await mkdir(work, { recursive: true, mode: 0o700 });
  const names = await namesOf(folder);
  const files = filesOf(names);
  const manifest = names.length > 0 ? await closedManifestOf(folder, files, found.findings) : undefined;
  // LevelDB's repair reads neither CURRENT nor a manifest, and makes its own.
  for (const name of names.filter((each) => LOG_OR_TABLE.test(each))) {
    if (manifest && !belongs(name, files, manifest)) continue;
    if (!(await copy(folder, work, name, read, found))) continue;
    if (name.endsWith('.log')) await cleanLog(work, name, found);
    else await cleanTable(work, name, manifest, files, found);
  }
  for (const { number } of manifest?.tables ?? []) {
    if (!files.tables.has(number)) found.findings.push({ file: `${number}.ldb`, what: 'is missing' });
  }
  await repairCopy(work);
  return found;
}

/** The files of a LevelDB. */
export async function namesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(unlessMissing([] as string[]));
  return names.filter((name) => DATABASE.test(name));
}

/** @throws Fault where LevelDB did not take over all that it was given */
async function repairCopy(work: string): Promise<void> {
  const { logs, tables } = filesOf(await readdir(work));
  const damaged = new Set<number>();
  for (const [number, name] of tables) if (damageOf(await readFile(join(work, name)))) damaged.add(number);
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(work);
  const kept = new Set((await manifestOf(work, []))?.tables.map(({ number }) => number));
  const log = await readFile(join(work, 'LOG'), 'utf8').catch(unlessMissing(''));
  const [first] = notTakenOver(log, { logs: [...logs.keys()], tables: [...tables.keys()], damaged }, kept);
  if (first !== undefined) {
    const isFull = /no space left|quota exceeded/i.test(log);
    throw new Fault(
      isFull ? 'no-space' : 'volume-unusable',
      `LevelDB could not take over all of the metadata (${first}), and nothing is changed: ${isFull ? 'free space' : 'look for errors of the disk'}, then repair again`,
    );
  }
  // Where LevelDB puts what it made use of: all of that is where it was.
  await rm(join(work, 'lost'), { recursive: true, force: true });
}

/** Of what LevelDB has not got to deleting, older values would come back. */
function belongs(name: string, files: Files, manifest: Manifest): boolean {
  if (name.endsWith('.log')) return liveLogs(files, manifest).some(([, live]) => live === name);
  return manifest.tables.some(({ number }) => files.tables.get(number) === name);
}

/** @returns false where nothing of it can be read */
async function copy(
  folder: string,
  work: string,
  name: string,
  read: Read,
  { findings, damaged }: Salvaged,
): Promise<boolean> {
  const add = (where: string) => {
    const finding = { file: name, what: `can not be read (EIO)${where}` };
    findings.push(finding);
    damaged.push({ finding, entries: [], complete: false });
  };
  let unreadable: Range[];
  try {
    unreadable = await copyReadable(join(folder, name), join(work, name), read);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    await rm(join(work, name), { force: true });
    add('');
    return false;
  }
  for (const { offset, length } of unreadable) add(` at byte ${offset}, ${length} bytes`);
  return true;
}

async function cleanLog(work: string, name: string, found: Salvaged): Promise<void> {
  const path = join(work, name);
  const log = await readFile(path);
  const sound: Uint8Array[] = [];
  for (const part of partsOf(log)) {
    if (part.kind === 'record') {
      sound.push(part.bytes);
      continue;
    }
    const bytes = log.subarray(part.offset, part.offset + part.length);
    const what = part.kind === 'cut' ? 'ends in a record' : 'is damaged';
    note(found, { file: name, what: `${what} at byte ${part.offset}, ${part.length} bytes` }, bytes);
  }
  if (sound.length > 0) await writeFile(path, logOf(sound));
  else await rm(path);
}

async function cleanTable(
  work: string,
  name: string,
  manifest: Manifest | undefined,
  files: Files,
  found: Salvaged,
): Promise<void> {
  const path = join(work, name);
  const table = await readFile(path);
  const damage = damageOf(table);
  if (!damage) return;
  const known = manifest?.tables.find(({ number }) => files.tables.get(number) === name);
  const range = known ? `, which has keys from ${known.smallest} to ${known.largest}` : '';
  if (damage.whole) {
    note(found, { file: name, what: `is damaged in its index${range}` }, table);
    await rm(path);
    return;
  }
  for (const block of damage.blocks) {
    const what = `is damaged at byte ${block.offset}, ${block.size} bytes${range}`;
    note(found, { file: name, what }, table.subarray(block.offset, typeAt(block)));
    table[typeAt(block)] = NO_TYPE;
  }
  await writeFile(path, table);
}

function note({ findings, damaged }: Salvaged, finding: Finding, bytes: Uint8Array): void {
  findings.push(finding);
  damaged.push({ finding, ...remnantsIn(bytes) });
}

const unlessMissing =
  <T>(instead: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === 'ENOENT') return instead;
    throw error;
  };
