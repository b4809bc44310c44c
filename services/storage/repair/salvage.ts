import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { Fault } from '#proto/contract/fault.ts';
import type { DatabaseManifest } from '../leveldb/database-manifest.ts';
import {
  type DatabaseFiles,
  type Finding,
  filesOf,
  liveLogs,
  readClosedDatabaseManifest,
  readDatabaseManifest,
} from '../leveldb/examine.ts';
import { logOf, logParts } from '../leveldb/log-records.ts';
import { damageOf, typeAt } from '../leveldb/table-damage.ts';
import { copyReadable, isReadError, type Range, type Read } from './copy.ts';
import { MAX_REMNANTS, type Remnants, remnantsIn } from './remnants.ts';
import { notTakenOver } from './repair-log.ts';

/** A type that no block has. LevelDB does not check the checksums of blocks, and skips a block of unknown type. */
const NO_TYPE = 0xff;
const LOG_OR_TABLE = /^\d+\.(log|ldb|sst)$/;
const DATABASE = /^(CURRENT|MANIFEST-\d+|\d+\.(log|ldb|sst))$/;

export type Salvaged = {
  findings: Finding[];
  /** Ranges that are damaged or unreadable, each with the entries recognized in it. */
  damaged: (Remnants & { finding: Finding })[];
};

/**
 * Copies the intact part of a damaged LevelDB to `work`, and runs LevelDB's repair there. That repair checks no
 * checksums and reads no manifest: it would take over damaged bytes and restore deleted records. So it gets only intact
 * data of files that belong to the database.
 * @throws Fault `no-space`, `volume-unusable` if LevelDB's repair did not take over all of it
 */
export async function salvage(folder: string, work: string, read: Read): Promise<Salvaged> {
  const salvaged: Salvaged = { findings: [], damaged: [] };
  await mkdir(work, { recursive: true, mode: 0o700 });
  const names = await namesOf(folder);
  const files = filesOf(names);
  const manifest =
    names.length > 0 ? await readClosedDatabaseManifest(folder, files, salvaged.findings) : undefined;
  // LevelDB's repair reads neither CURRENT nor a manifest, and writes its own.
  for (const name of names.filter((each) => LOG_OR_TABLE.test(each))) {
    if (manifest && !isLive(name, files, manifest)) continue;
    if (!(await copy(folder, work, name, read, salvaged))) continue;
    if (name.endsWith('.log')) await cleanLog(work, name, salvaged);
    else await cleanTable(work, name, manifest, files, salvaged);
  }
  for (const { number } of manifest?.tables ?? []) {
    if (!files.tables.has(number)) salvaged.findings.push({ file: `${number}.ldb`, what: 'is missing' });
  }
  await repairCopy(work);
  return salvaged;
}

/** Names of the files of a LevelDB; none if the folder is missing. */
export async function namesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(unlessMissing([] as string[]));
  return names.filter((name) => DATABASE.test(name));
}

/** @throws Fault `no-space`, `volume-unusable` if LevelDB did not take over everything */
async function repairCopy(work: string): Promise<void> {
  const { logs, tables } = filesOf(await readdir(work));
  const damaged = new Set<number>();
  for (const [number, name] of tables) if (damageOf(await readFile(join(work, name)))) damaged.add(number);
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(work);
  const retained = new Set((await readDatabaseManifest(work, []))?.tables.map(({ number }) => number));
  const log = await readFile(join(work, 'LOG'), 'utf8').catch(unlessMissing(''));
  const [first] = notTakenOver(
    log,
    { logs: [...logs.keys()], tables: [...tables.keys()], damaged },
    retained,
  );
  if (first !== undefined) {
    const isFull = /no space left|quota exceeded/i.test(log);
    throw new Fault(
      isFull ? 'no-space' : 'volume-unusable',
      `LevelDB could not recover all of the metadata (${first}), and nothing was changed: ${isFull ? 'free space' : 'check the disk for errors'}, then repair again`,
    );
  }
  // LevelDB moves processed files to `lost`. They are copies: the originals are in place.
  await rm(join(work, 'lost'), { recursive: true, force: true });
}

/** Whether a file is in use. Files that LevelDB has not deleted yet would restore older values. */
function isLive(name: string, files: DatabaseFiles, manifest: DatabaseManifest): boolean {
  if (name.endsWith('.log')) return liveLogs(files, manifest).some(([, live]) => live === name);
  return manifest.tables.some(({ number }) => files.tables.get(number) === name);
}

/** @returns false if nothing of the file can be read */
async function copy(
  folder: string,
  work: string,
  name: string,
  read: Read,
  { findings, damaged }: Salvaged,
): Promise<boolean> {
  const add = (where: string) => {
    const finding = { file: name, what: `cannot be read (EIO)${where}` };
    findings.push(finding);
    damaged.push({ finding, entries: [], complete: false });
  };
  let unreadable: Range[];
  try {
    unreadable = await copyReadable(join(folder, name), join(work, name), read);
  } catch (error) {
    if (!isReadError(error)) throw error;
    await rm(join(work, name), { force: true });
    add('');
    return false;
  }
  for (const { offset, length } of unreadable) add(` at byte ${offset}, ${length} bytes`);
  return true;
}

async function cleanLog(work: string, name: string, salvaged: Salvaged): Promise<void> {
  const path = join(work, name);
  const log = await readFile(path);
  const intact: Uint8Array[] = [];
  for (const part of logParts(log)) {
    if (part.kind === 'record') {
      intact.push(part.bytes);
      continue;
    }
    const bytes = log.subarray(part.offset, part.offset + part.length);
    const what = part.kind === 'cut' ? 'is truncated' : 'is damaged';
    note(salvaged, { file: name, what: `${what} at byte ${part.offset}, ${part.length} bytes` }, bytes);
  }
  if (intact.length > 0) await writeFile(path, logOf(intact));
  else await rm(path);
}

async function cleanTable(
  work: string,
  name: string,
  manifest: DatabaseManifest | undefined,
  files: DatabaseFiles,
  salvaged: Salvaged,
): Promise<void> {
  const path = join(work, name);
  const table = await readFile(path);
  const damage = damageOf(table);
  if (!damage) return;
  const known = manifest?.tables.find(({ number }) => files.tables.get(number) === name);
  const range = known ? `, which has keys from ${known.smallest} to ${known.largest}` : '';
  if (damage.unreadable) {
    note(salvaged, { file: name, what: `is damaged in its index${range}` }, table);
    await rm(path);
    return;
  }
  for (const block of damage.blocks) {
    const what = `is damaged at byte ${block.offset}, ${block.size} bytes${range}`;
    note(salvaged, { file: name, what }, table.subarray(block.offset, typeAt(block)));
    table[typeAt(block)] = NO_TYPE;
  }
  await writeFile(path, table);
}

function note({ findings, damaged }: Salvaged, finding: Finding, bytes: Uint8Array): void {
  findings.push(finding);
  // Entries of one repair are bounded, however much is damaged.
  const room = MAX_REMNANTS - damaged.reduce((sum, { entries }) => sum + entries.length, 0);
  const { entries, complete } = remnantsIn(bytes);
  damaged.push({
    finding,
    entries: entries.slice(0, room),
    complete: complete && entries.length <= room,
  });
}

const unlessMissing =
  <T>(fallback: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === 'ENOENT') return fallback;
    throw error;
  };
