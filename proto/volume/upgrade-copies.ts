import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { matches } from '../contract/schema-check.ts';
import { METADATA, METADATA_STATE, UPGRADES } from './layout.ts';

/*
 * Copies of the metadata from before an upgrade, in the folder `UPGRADES` of the data volume. Storage makes one before
 * another version of Terrace opens the metadata for the first time; `terrace rollback` brings one back.
 *
 *   program.json               the version that opened the metadata last
 *   <time>-<version>/          a copy: metadata/, metadata.json, and about.json (`CopyRecord`)
 *   replaced-<time>/           the metadata that a rollback replaced
 *   rolled-back.json           the copy that the metadata are of, until storage has opened them (`RollbackRecord`)
 *   new/                       a copy that is being made
 *
 * All of it is files, without a look into them: no process has the metadata open. LevelDB's tables never change, so a
 * copy shares them with the metadata; what else is in the folder is copied.
 */

/** A version of Terrace, and of the metadata that it writes. */
export const Program = Type.Object({
  version: Type.String({ maxLength: 64 }),
  metadata: Count,
});
export type Program = Static<typeof Program>;

/** The version that opened the metadata last, and since when it has been that one. */
export const LastProgram = Type.Object({ ...Program.properties, since: Instant });
export type LastProgram = Static<typeof LastProgram>;

/** `from`: the version that used the metadata before; absent if it is not known. `at`: when the copy was made. */
export const CopyRecord = Type.Object({ from: Type.Optional(Program), to: Program, at: Instant });
export type CopyRecord = Static<typeof CopyRecord>;
export type UpgradeCopy = CopyRecord & { name: string };

export const RollbackRecord = Type.Object({
  copy: Type.String({ maxLength: 128 }),
  /** When the copy was made, and when it was brought back. */
  at: Instant,
  rolledBack: Instant,
});
export type RollbackRecord = Static<typeof RollbackRecord>;

/** Copies, and replaced metadata, that are kept. */
export const MAX_UPGRADE_COPIES = 2;
const MAX_RECORD_BYTES = 4_096;
/** Tables of LevelDB: written once. */
const TABLE = /\.(ldb|sst)$/;
const REPLACED = 'replaced-';
const NEW = 'new';

const isLastProgram = (value: unknown): value is LastProgram => matches(LastProgram, value);
const isCopy = (value: unknown): value is CopyRecord => matches(CopyRecord, value);
const isRollback = (value: unknown): value is RollbackRecord => matches(RollbackRecord, value);

const folderOf = (data: string) => join(data, UPGRADES);
const programFile = (data: string) => join(folderOf(data), 'program.json');
const rollbackFile = (data: string) => join(folderOf(data), 'rolled-back.json');

/** The version that opened the metadata last; undefined if it is not known. */
export const lastProgram = (data: string): Promise<LastProgram | undefined> =>
  readRecord(isLastProgram, programFile(data));

/** The metadata are opened by this version from now on. */
export async function writeProgram(data: string, program: LastProgram): Promise<void> {
  await mkdir(folderOf(data), { recursive: true, mode: 0o700 });
  await writeRecord(programFile(data), program);
}

export const isSameProgram = (one: Program | undefined, other: Program): boolean =>
  one !== undefined && one.version === other.version && one.metadata === other.metadata;

/** The copies that can be brought back, the last one first. */
export async function upgradeCopies(data: string): Promise<UpgradeCopy[]> {
  const copies: UpgradeCopy[] = [];
  for (const name of await namesIn(folderOf(data))) {
    const record = await readRecord(isCopy, join(folderOf(data), name, 'about.json'));
    if (record && !name.startsWith(REPLACED) && name !== NEW) copies.push({ ...record, name });
  }
  return copies.sort((one, other) => other.at - one.at);
}

/**
 * Copies the metadata, which no process has open, and deletes all but the last copies. On the disk when it resolves.
 * @returns name of the copy
 */
export async function copyBeforeUpgrade(data: string, record: CopyRecord): Promise<string> {
  const folder = folderOf(data);
  const made = join(folder, NEW);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { mode: 0o700 });
  try {
    await copyMetadata(data, made);
    await writeRecord(join(made, 'about.json'), record);
    const version = (record.from?.version ?? 'earlier').replace(/[^\w.+~-]/g, '_');
    const name = `${stamp(record.at)}-${version}`;
    await rm(join(folder, name), { recursive: true, force: true });
    await rename(made, join(folder, name));
    await syncFolder(folder);
    const copies = await upgradeCopies(data);
    await deleteAll(
      data,
      copies.slice(MAX_UPGRADE_COPIES).map((copy) => copy.name),
    );
    return name;
  } catch (error) {
    await rm(made, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

/**
 * Brings a copy back: it stays, and the metadata that it replaces are kept. May be interrupted anywhere and repeated.
 * The caller holds the data folder.
 * @returns folder of the replaced metadata, below `data`
 */
export async function rollBack(data: string, copy: UpgradeCopy, now: number): Promise<string> {
  const folder = folderOf(data);
  const made = join(folder, NEW);
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { mode: 0o700 });
  await copyMetadata(join(folder, copy.name), made);
  const replaced = `${REPLACED}${stamp(now)}`;
  await mkdir(join(folder, replaced), { recursive: true, mode: 0o700 });
  const record: RollbackRecord = { copy: copy.name, at: copy.at, rolledBack: now };
  await writeRecord(rollbackFile(data), record);
  for (const name of [METADATA, METADATA_STATE]) {
    await rename(join(data, name), join(folder, replaced, name)).catch(unlessMissing);
  }
  for (const name of [METADATA_STATE, METADATA]) {
    await rename(join(made, name), join(data, name)).catch(unlessMissing);
  }
  await syncFolder(join(folder, replaced));
  await syncFolder(data);
  await rm(made, { recursive: true, force: true });
  if (copy.from) await writeProgram(data, { ...copy.from, since: now });
  else await rm(programFile(data), { force: true });
  const old = (await namesIn(folder)).filter((name) => name.startsWith(REPLACED)).sort();
  await deleteAll(data, old.slice(0, -MAX_UPGRADE_COPIES));
  return join(UPGRADES, replaced);
}

/** Set from a rollback until `finishRollback`. */
export const unfinishedRollback = (data: string): Promise<RollbackRecord | undefined> =>
  readRecord(isRollback, rollbackFile(data));

/** The metadata are now those of a layer that was rolled back. */
export async function finishRollback(data: string): Promise<void> {
  await rm(rollbackFile(data), { force: true });
  await syncFolder(folderOf(data));
}

/** `metadata/` and `metadata.json` of one folder, in another one. */
async function copyMetadata(from: string, to: string): Promise<void> {
  await mkdir(join(to, METADATA), { mode: 0o700 });
  for (const name of await readdir(join(from, METADATA))) {
    // Of a process that has the metadata open.
    if (name === 'LOCK') continue;
    const [source, target] = [join(from, METADATA, name), join(to, METADATA, name)];
    if (TABLE.test(name) && (await isLinked(source, target))) continue;
    await copySynced(source, target);
  }
  await copySynced(join(from, METADATA_STATE), join(to, METADATA_STATE)).catch(unlessMissing);
  await syncFolder(join(to, METADATA));
  await syncFolder(to);
}

/** Not every file system has links. */
async function isLinked(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target);
    return true;
  } catch {
    return false;
  }
}

async function copySynced(source: string, target: string): Promise<void> {
  await copyFile(source, target);
  await using file = await open(target, 'r');
  await file.sync();
}

async function deleteAll(data: string, names: string[]): Promise<void> {
  for (const name of names) await rm(join(folderOf(data), name), { recursive: true, force: true });
}

/** `20261130T143159Z`: a name that sorts by time. */
const stamp = (at: number): string => `${new Date(at).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;

async function readRecord<T>(isRecord: (value: unknown) => value is T, path: string): Promise<T | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    const record: unknown = text.length <= MAX_RECORD_BYTES ? JSON.parse(text) : undefined;
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

async function writeRecord(path: string, record: object): Promise<void> {
  const temporary = `${path}.new`;
  await writeFile(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600, flush: true });
  await rename(temporary, path);
  await syncFolder(join(path, '..'));
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
