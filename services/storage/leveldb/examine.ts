import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { judgeLog, type LogRules } from './log-verdict.ts';
import { type Manifest, readManifest, type Table } from './manifest.ts';
import { damageOf, type TableDamage } from './table.ts';

/**
 * Looks at all files of a LevelDB that nobody has open: what LevelDB checks itself is little, and damaged records of a
 * log it drops without a word.
 */

export type Finding = { file: string; what: string };

export type Examined = {
  /** No database was made here yet, or its making was cut off. */
  empty: boolean;
  /** Whatever was stored and can't be read. */
  findings: Finding[];
  /** Logs at whose end something is missing that may be. */
  torn: string[];
};

/** Logs and tables by their numbers, and the name of the manifest. */
export type Files = { logs: Map<number, string>; tables: Map<number, string>; manifest?: string };

/** More is no file of LevelDB's: its tables have some MiB, its logs what one batch adds to that. */
const MAX_FILE_BYTES = 1024 * 1024 * 1024;

export async function examine(
  folder: string,
  { mayLack, isSynced }: Pick<LogRules, 'mayLack' | 'isSynced'>,
): Promise<Examined> {
  const findings: Finding[] = [];
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw error;
  });
  const files = filesOf(names);
  const begun = files.logs.size > 0 || files.tables.size > 0;
  if (!names.includes('CURRENT')) {
    const made = begun || names.some((name) => name.startsWith('MANIFEST-') && name !== 'MANIFEST-000001');
    const missing = { file: 'CURRENT', what: 'is missing' };
    return { empty: !made, findings: made ? [missing] : [], torn: [] };
  }
  const manifest = await closedManifestOf(folder, files, findings);
  if (!manifest) return { empty: false, findings, torn: [] };
  for (const table of manifest.tables) {
    const finding = await examineTable(folder, files.tables.get(table.number), table);
    if (finding) findings.push(finding);
  }
  const torn = await examineLogs(folder, files, manifest, { mayLack, isSynced }, findings);
  return { empty: false, findings, torn };
}

export function filesOf(names: string[]): Files {
  const logs = new Map<number, string>();
  const tables = new Map<number, string>();
  for (const name of names) {
    const [, number, kind] = /^(\d+)\.(log|ldb|sst)$/.exec(name) ?? [];
    if (number !== undefined) (kind === 'log' ? logs : tables).set(Number(number), name);
  }
  return { logs, tables };
}

/** Tables that are damaged, of a database that is in use: what it has taken away meanwhile is no damage. */
export async function examineTables(folder: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  const manifest = await manifestOf(folder, findings);
  if (!manifest) return findings;
  const files = filesOf(await readdir(folder));
  for (const table of manifest.tables) {
    const name = files.tables.get(table.number);
    const finding = name && (await examineTable(folder, name, table));
    if (finding && existsSync(join(folder, name))) findings.push(finding);
  }
  return findings;
}

/** The logs that belong to the database, in the order in which they were written. */
export const liveLogs = ({ logs }: Files, { log, previousLog }: Manifest): [number, string][] =>
  [...logs].filter(([number]) => number >= log || number === previousLog).sort(([a], [b]) => a - b);

/** Adds a finding where there is none that can be read. */
export async function manifestOf(folder: string, findings: Finding[]): Promise<Manifest | undefined> {
  const current = await read(folder, 'CURRENT', findings);
  if (!current) return undefined;
  const [, name] = /^(MANIFEST-\d+)\n$/.exec(current.toString('latin1')) ?? [];
  if (name === undefined) {
    findings.push({ file: 'CURRENT', what: 'is damaged' });
    return undefined;
  }
  const file = await read(folder, name, findings);
  if (!file) return undefined;
  const manifest = readManifest(file);
  if (!manifest) findings.push({ file: name, what: 'is damaged' });
  return manifest;
}

/**
 * The same of a database that nobody has open. One whose end seems not to be written, and that names files that are gone,
 * went on: LevelDB takes files away only when its manifest says so.
 */
export async function closedManifestOf(
  folder: string,
  { logs, tables }: Files,
  findings: Finding[],
): Promise<Manifest | undefined> {
  const manifest = await manifestOf(folder, findings);
  if (!manifest?.cut) return manifest;
  const hasLog = manifest.log === 0 || logs.has(manifest.log);
  if (hasLog && manifest.tables.every(({ number }) => tables.has(number))) return manifest;
  findings.push({ file: 'MANIFEST', what: 'lacks its end' });
  return undefined;
}

async function examineLogs(
  folder: string,
  files: Files,
  manifest: Manifest,
  rules: Pick<LogRules, 'mayLack' | 'isSynced'>,
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
    // An opening makes the next log before it has brought this one into a table: it may end there, and be killed.
    const last = sizes.slice(index + 1).every((size) => size === 0);
    const verdict = judgeLog(log, { ...rules, last, expected });
    for (const { offset, bytes, what } of verdict.flaws) {
      findings.push({ file: name, what: `${what} at byte ${offset}${bytes > 0 ? `, ${bytes} bytes` : ''}` });
    }
    if (verdict.torn) torn.push(name);
    // A log is not synced when the next one begins: behind its last synced record it may lack whole ones as well.
    expected = verdict.torn || rules.mayLack === 'unsynced' ? undefined : verdict.next;
  }
  return torn;
}

async function examineTable(
  folder: string,
  name: string | undefined,
  { number, size }: Table,
): Promise<Finding | undefined> {
  const file = name ?? `${String(number).padStart(6, '0')}.ldb`;
  if (name === undefined) return { file, what: 'is missing' };
  const trouble: Finding[] = [];
  const table = await read(folder, name, trouble);
  if (!table) return trouble[0];
  if (table.length !== size) return { file, what: `has ${table.length} bytes instead of ${size}` };
  const damage = damageOf(table);
  return damage && { file, what: textOf(damage) };
}

const textOf = (damage: TableDamage): string =>
  damage.whole
    ? 'is damaged in its index'
    : `is damaged at byte ${damage.blocks[0]?.offset}${damage.blocks.length > 1 ? ` and ${damage.blocks.length - 1} more places` : ''}`;

const sizeOf = (folder: string, name: string): Promise<number | undefined> =>
  stat(join(folder, name)).then(
    ({ size }) => size,
    () => undefined,
  );

/** What the disk does not give any more is lost as well. */
async function read(folder: string, name: string, findings: Finding[]): Promise<Buffer | undefined> {
  const path = join(folder, name);
  try {
    const { size } = await stat(path);
    if (size <= MAX_FILE_BYTES) return await readFile(path);
    findings.push({ file: name, what: `has ${size} bytes, more than LevelDB makes` });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EIO') throw error;
    findings.push({ file: name, what: code === 'ENOENT' ? 'is missing' : 'can not be read (EIO)' });
  }
  return undefined;
}
