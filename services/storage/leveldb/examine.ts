import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { plural } from '#proto/contract/quantity-text.ts';
import { type DatabaseManifest, parseDatabaseManifest, type Table } from './database-manifest.ts';
import { judgeLog, type WriterRules } from './log-verdict.ts';
import { damageOf, type TableDamage } from './table-damage.ts';

/**
 * Reads the files of a LevelDB without LevelDB, to find damage: LevelDB itself checks little, and silently drops
 * damaged records of a log.
 *
 * CURRENT names the manifest (database-manifest.ts); it names the tables (table-damage.ts) and the logs in use.
 * Manifest and logs share one record format (log-records.ts); a record of a log is a write batch (write-batch.ts).
 * log-verdict.ts decides which gaps of a log are damage. byte-cursor.ts, crc32c.ts and snappy.ts decode bytes.
 *
 * `examine` checks a closed database in this order: CURRENT, manifest, tables, logs; of the contents of the tables on
 * request only some. `examineTables` checks all tables of an open one. ../repair salvages a damaged database with the
 * same readers.
 */

export type Finding = { file: string; what: string };

export type Examined = {
  /** No database was created here yet, or its creation was interrupted. */
  empty: boolean;
  /** Stored data that can't be read. */
  findings: Finding[];
  /** Logs that lack data which `mayLack` allows to be missing. */
  torn: string[];
  /** Of some tables only existence and size were checked. */
  partial?: true;
};

/** File names of logs and tables by number, and of the manifest. */
export type DatabaseFiles = { logs: Map<number, string>; tables: Map<number, string>; manifest?: string };

/** Max size of a file, in bytes. LevelDB's tables have a few MiB; a log exceeds that by one batch at most. */
const MAX_FILE_BYTES = 1024 * 1024 * 1024;

/**
 * Examines all files of a LevelDB that no process has open.
 * @param maxTableBytes of the tables, only the newest are read, up to this size together
 */
export async function examine(
  folder: string,
  { mayLack, isSynced }: WriterRules,
  maxTableBytes = Number.POSITIVE_INFINITY,
): Promise<Examined> {
  const findings: Finding[] = [];
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw error;
  });
  const files = filesOf(names);
  const hasFiles = files.logs.size > 0 || files.tables.size > 0;
  if (!names.includes('CURRENT')) {
    const isCreated =
      hasFiles || names.some((name) => name.startsWith('MANIFEST-') && name !== 'MANIFEST-000001');
    const missing = { file: 'CURRENT', what: 'is missing' };
    return { empty: !isCreated, findings: isCreated ? [missing] : [], torn: [] };
  }
  const manifest = await readClosedDatabaseManifest(folder, files, findings);
  if (!manifest) return { empty: false, findings, torn: [] };
  const read = newest(manifest.tables, maxTableBytes);
  for (const table of manifest.tables) {
    const name = files.tables.get(table.number);
    const finding = read.has(table)
      ? await examineTable(folder, name, table)
      : await examineSize(folder, name, table);
    if (finding) findings.push(finding);
  }
  const torn = await examineLogs(folder, files, manifest, { mayLack, isSynced }, findings);
  return { empty: false, findings, torn, ...(read.size < manifest.tables.length && { partial: true }) };
}

function newest(tables: readonly Table[], maxBytes: number): Set<Table> {
  let bytes = 0;
  const sorted = tables.toSorted((a, b) => b.number - a.number);
  const over = sorted.findIndex(({ size }) => {
    bytes += size;
    return bytes > maxBytes;
  });
  return new Set(over < 0 ? sorted : sorted.slice(0, over));
}

export function filesOf(names: string[]): DatabaseFiles {
  const logs = new Map<number, string>();
  const tables = new Map<number, string>();
  for (const name of names) {
    const [, number, kind] = /^(\d+)\.(log|ldb|sst)$/.exec(name) ?? [];
    if (number !== undefined) (kind === 'log' ? logs : tables).set(Number(number), name);
  }
  return { logs, tables };
}

/**
 * Finds damaged tables of an open database. A table that LevelDB has deleted meanwhile is not damage.
 * @param pause awaited after each table, with the time that it took, in ms; throws to end the examination
 */
export async function examineTables(
  folder: string,
  pause: (ms: number) => Promise<void> = async () => {},
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const manifest = await readDatabaseManifest(folder, findings);
  if (!manifest) return findings;
  const files = filesOf(await readdir(folder));
  for (const table of manifest.tables) {
    const began = performance.now();
    const name = files.tables.get(table.number);
    const finding = name && (await examineTable(folder, name, table));
    if (finding && existsSync(join(folder, name))) findings.push(finding);
    await pause(performance.now() - began);
  }
  return findings;
}

/** Logs that belong to the database, in the order in which they were written. */
export const liveLogs = (
  { logs }: DatabaseFiles,
  { log, previousLog }: DatabaseManifest,
): [number, string][] =>
  [...logs].filter(([number]) => number >= log || number === previousLog).sort(([a], [b]) => a - b);

/** Reads the manifest that CURRENT names; adds a finding if it can't be read. */
export async function readDatabaseManifest(
  folder: string,
  findings: Finding[],
): Promise<DatabaseManifest | undefined> {
  const current = await read(folder, 'CURRENT', findings);
  if (!current) return undefined;
  const [, name] = /^(MANIFEST-\d+)\n$/.exec(current.toString('latin1')) ?? [];
  if (name === undefined) {
    findings.push({ file: 'CURRENT', what: 'is damaged' });
    return undefined;
  }
  const file = await read(folder, name, findings);
  if (!file) return undefined;
  const manifest = parseDatabaseManifest(file);
  if (!manifest) findings.push({ file: name, what: 'is damaged' });
  return manifest;
}

/**
 * Like `readDatabaseManifest`, for a database that no process has open. A manifest that seems cut off and names missing
 * files has lost later records: LevelDB deletes a file only after a record of the manifest has removed it.
 */
export async function readClosedDatabaseManifest(
  folder: string,
  { logs, tables }: DatabaseFiles,
  findings: Finding[],
): Promise<DatabaseManifest | undefined> {
  const manifest = await readDatabaseManifest(folder, findings);
  if (!manifest?.cut) return manifest;
  const hasLog = manifest.log === 0 || logs.has(manifest.log);
  if (hasLog && manifest.tables.every(({ number }) => tables.has(number))) return manifest;
  findings.push({ file: 'MANIFEST', what: 'is truncated' });
  return undefined;
}

async function examineLogs(
  folder: string,
  files: DatabaseFiles,
  manifest: DatabaseManifest,
  rules: WriterRules,
  findings: Finding[],
): Promise<string[]> {
  const torn: string[] = [];
  const logs = liveLogs(files, manifest);
  if (manifest.log > 0 && !files.logs.has(manifest.log)) {
    findings.push({ file: `${String(manifest.log).padStart(6, '0')}.log`, what: 'is missing' });
  }
  let expected: number | undefined = manifest.lastSequence + 1;
  const sizes = await Promise.all(logs.map(([, name]) => sizeOf(folder, name)));
  for (const [index, [, name]] of logs.entries()) {
    const log = await read(folder, name, findings);
    if (!log) continue;
    // LevelDB creates the next log at open, before it has converted this one to a table. If it is killed then, this log
    // is still the last one.
    const last = sizes.slice(index + 1).every((size) => size === 0);
    const verdict = judgeLog(log, { ...rules, last, expected });
    for (const { offset, bytes, what } of verdict.flaws) {
      findings.push({ file: name, what: `${what} at byte ${offset}${bytes > 0 ? `, ${bytes} bytes` : ''}` });
    }
    if (verdict.torn) torn.push(name);
    // LevelDB does not sync a log before it starts the next one: complete records after the last synced one may be
    // missing.
    expected = verdict.torn || rules.mayLack === 'unsynced' ? undefined : verdict.next;
  }
  return torn;
}

async function examineTable(
  folder: string,
  name: string | undefined,
  { number, size }: Table,
): Promise<Finding | undefined> {
  if (name === undefined) return missing(number);
  const findings: Finding[] = [];
  const table = await read(folder, name, findings);
  if (!table) return findings[0];
  if (table.length !== size) return ofSize(name, table.length, size);
  const damage = damageOf(table);
  return damage && { file: name, what: textOf(damage) };
}

async function examineSize(
  folder: string,
  name: string | undefined,
  { number, size }: Table,
): Promise<Finding | undefined> {
  const found = name === undefined ? undefined : await sizeOf(folder, name);
  if (name === undefined || found === undefined) return missing(number);
  return found === size ? undefined : ofSize(name, found, size);
}

const missing = (number: number): Finding => ({
  file: `${String(number).padStart(6, '0')}.ldb`,
  what: 'is missing',
});
const ofSize = (file: string, found: number, expected: number): Finding => ({
  file,
  what: `has ${found} bytes instead of ${expected}`,
});

const textOf = (damage: TableDamage): string =>
  damage.unreadable
    ? 'is damaged in its index'
    : `is damaged at byte ${damage.blocks[0]?.offset}${damage.blocks.length > 1 ? ` and ${plural(damage.blocks.length - 1, 'more place')}` : ''}`;

const sizeOf = (folder: string, name: string): Promise<number | undefined> =>
  stat(join(folder, name)).then(
    ({ size }) => size,
    () => undefined,
  );

/** Adds a finding if the file is missing, too large, or unreadable (EIO). @throws any other error of the file system */
async function read(folder: string, name: string, findings: Finding[]): Promise<Buffer | undefined> {
  const path = join(folder, name);
  try {
    const { size } = await stat(path);
    if (size <= MAX_FILE_BYTES) return await readFile(path);
    findings.push({ file: name, what: `has ${size} bytes, more than LevelDB writes` });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EIO') throw error;
    findings.push({ file: name, what: code === 'ENOENT' ? 'is missing' : 'cannot be read (EIO)' });
  }
  return undefined;
}
