import { constants, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { type Files, type Finding, filesOf, liveLogs, manifestOf } from '../leveldb/examine.ts';
import { logOf, partsOf } from '../leveldb/log-records.ts';
import type { Manifest } from '../leveldb/manifest.ts';
import { damageOf, typeAt } from '../leveldb/table.ts';
import { MAX_REMNANTS, type Remnant, remnantsIn } from './remnants.ts';

/** A type that no block has: LevelDB, which does not look at the checksums of blocks, leaves such a one out. */
const NO_TYPE = 0xff;
const DATABASE = /^(CURRENT|MANIFEST-\d+|\d+\.(log|ldb|sst))$/;

export type Salvaged = {
  findings: Finding[];
  /** Those of them in which no entry can be made out. */
  unnamed: Finding[];
  /** Entries that stand in damaged records, as far as they can be made out. */
  remnants: Remnant[];
};

/**
 * Copies a damaged LevelDB to `work`, without what is damaged in it, and lets LevelDB repair that. LevelDB's own repair
 * takes damaged bytes for what they seem to be, and puts back what was deleted: it looks at no checksum and at no
 * manifest. So it gets only what belongs to the database and is as it was written.
 */
export async function salvage(folder: string, work: string): Promise<Salvaged> {
  const found: Salvaged = { findings: [], unnamed: [], remnants: [] };
  await mkdir(work, { recursive: true, mode: 0o700 });
  const names = await readdir(folder).catch(unlessMissing([] as string[]));
  const files = filesOf(names);
  const manifest = names.length > 0 ? await manifestOf(folder, found.findings) : undefined;
  for (const name of names.filter((each) => DATABASE.test(each))) {
    if (manifest && !belongs(name, files, manifest)) continue;
    const copied = await copy(join(folder, name), join(work, name));
    if (!copied) found.findings.push({ file: name, what: 'can not be read (EIO)' });
    else if (name.endsWith('.log')) await cleanLog(work, name, found);
    else if (!name.startsWith('MANIFEST') && name !== 'CURRENT')
      await cleanTable(work, name, manifest, files, found);
  }
  for (const { number } of manifest?.tables ?? []) {
    if (!files.tables.has(number)) found.findings.push({ file: `${number}.ldb`, what: 'is missing' });
  }
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(work);
  // Where LevelDB puts what it made use of: all of that is where it was.
  await rm(join(work, 'lost'), { recursive: true, force: true });
  return found;
}

/** Of what LevelDB has not got to deleting, older values would come back. */
function belongs(name: string, files: Files, manifest: Manifest): boolean {
  if (name.endsWith('.log')) return liveLogs(files, manifest).some(([, live]) => live === name);
  if (name.startsWith('MANIFEST') || name === 'CURRENT') return true;
  return manifest.tables.some(({ number }) => files.tables.get(number) === name);
}

async function copy(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EIO') throw error;
    await rm(to, { force: true });
    return false;
  }
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

function note({ findings, unnamed, remnants }: Salvaged, finding: Finding, bytes: Uint8Array): void {
  const entries = remnantsIn(bytes);
  findings.push(finding);
  if (entries.length === 0) unnamed.push(finding);
  for (const entry of entries) if (remnants.length < MAX_REMNANTS) remnants.push(entry);
}

const unlessMissing =
  <T>(instead: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === 'ENOENT') return instead;
    throw error;
  };
