import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { formatBytes, plural } from '#proto/contract/quantity-text.ts';
import { randomHex } from '#proto/contract/random-hex.ts';
import { splitDigest } from '#proto/oci/names.ts';
import type { BackupTask, BackupTaskAnswer } from '#proto/volume/backup-task.ts';
import {
  blobPath,
  LAST_TWIN,
  LOGS,
  METADATA,
  PARENT_PASSWORD,
  RESTORE,
  RUN,
  restoreFiles,
} from '#proto/volume/layout.ts';
import { METADATA_VERSION } from '#proto/volume/metadata-version.ts';
import { SyncedFolders } from '../../content/synced-folders.ts';
import { type Change, set } from '../../metadata/batch-changes.ts';
import { bootIdOrRandom } from '../../metadata/boot.ts';
import { kindOf, kinds, prefix } from '../../metadata/keys.ts';
import { syncFolder, writeState } from '../../metadata/metadata-state.ts';
import { RebuiltRecords } from '../../repair/rebuilt-records.ts';
import type { BackupList } from '../target/backup-format.ts';
import { type BackupSource, chosenList, openSource } from '../target/backup-source.ts';
import { Copies, type Progress } from '../target/copies.ts';
import { type Content, copyContent } from '../target/copy-content.ts';
import { contentOf, readDump } from '../target/dump.ts';
import { writeSynced } from '../target/folder-target.ts';
import { dropUnsureBases, isRestored, missingContent, restoredMark } from './restored-records.ts';

export type RestoreOptions = Omit<Extract<BackupTask, { task: 'restore' }>, 'task'>;
type Restored = Omit<Extract<BackupTaskAnswer, { kind: 'restored' }>, 'ms'>;

/** Files that a backup may contain: nothing else is written to the data volume. */
const FILES: ReadonlySet<string> = new Set([LAST_TWIN, PARENT_PASSWORD]);
/** Copies at a time. */
const COPIES = 4;
const BATCH = 1_000;
const MAX_MISSING_NAMED = 1_000;
const SPACE_MARGIN = 1.05;

/**
 * Restores a backup to an empty data volume, or continues a restore that was interrupted. Until it is complete, the
 * folder `restore` with the id of the backup is there, and no layer starts: content first, each file verified; then the
 * metadata, in one step; then that folder is deleted.
 * @throws Fault `conflict` if the folder is not empty, or has another unfinished restore
 */
export async function restoreBackup(
  { source: path, at, data, metadataOnly }: RestoreOptions,
  onProgress: (progress: Progress) => void,
): Promise<Restored> {
  await using source = await openSource(path);
  const list = await chosenList(source, at);
  mustBeKnown(list);
  const files = restoreFiles(data);
  await begin(data, list);
  if (!metadataOnly) await requireSpace(data, list);
  const missing: Restored['missing'] = { blobs: 0, first: [] };
  const absent = new Set<string>();
  const count = (digest: string) => {
    missing.blobs += 1;
    if (missing.first.length < MAX_MISSING_NAMED) missing.first.push(digest);
  };
  const onMissing = ({ digest }: Content) => {
    absent.add(digest);
    count(digest);
  };
  let damaged = 0;
  const onDamaged = (digest: string) => {
    damaged += 1;
    count(digest);
  };
  if (!metadataOnly) await copyAll({ source, list, data }, onMissing, onProgress);
  await rm(files.metadata, { recursive: true, force: true });
  const isMissing = (digest: string) => metadataOnly || absent.has(digest);
  const notes = await writeRecords({ source, list, data }, isMissing, onDamaged);
  await syncTree(files.metadata);
  await writeState(join(data, METADATA), { boot: await bootIdOrRandom(), closed: true, made: true });
  await rm(join(data, METADATA), { recursive: true, force: true });
  await rename(files.metadata, join(data, METADATA));
  await syncFolder(data);
  await rm(files.folder, { recursive: true, force: true });
  await syncFolder(data);
  const { id, layer, dump, content } = list;
  const blobs = content.blobs + damaged;
  return {
    kind: 'restored',
    ...{ id, at: list.at, layer, records: dump.records, blobs, bytes: content.bytes },
    missing: metadataOnly ? { blobs, first: [] } : missing,
    notes,
    files: list.files ?? [],
  };
}

function mustBeKnown({ id, metadata, terrace }: BackupList): void {
  if (metadata <= METADATA_VERSION) return;
  throw new Fault(
    'unsupported',
    `the backup ${id} has metadata version ${metadata}, this Terrace supports ${METADATA_VERSION}: use Terrace ${terrace} or a later one`,
  );
}

type Work = { source: BackupSource; list: BackupList; data: string };

/** Names of entries that the command makes before it restores. */
const OF_COMMAND = new Set([RUN, LOGS, 'lost+found']);

async function begin(data: string, { id }: BackupList): Promise<void> {
  const { folder, id: idFile } = restoreFiles(data);
  await mkdir(data, { recursive: true, mode: 0o700 });
  const names = (await readdir(data)).filter((name) => !OF_COMMAND.has(name));
  const begun = (await readFile(idFile, 'utf8').catch(() => '')).trim();
  if (names.includes(RESTORE) && begun === id) return;
  if (begun) {
    throw new Fault(
      'conflict',
      `${data} has an unfinished restore of the backup ${begun}: finish that one (--at), or delete the folder`,
    );
  }
  if (names.some((name) => name !== RESTORE)) {
    throw new Fault('conflict', `${data} is not empty: restore to an empty folder`);
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeSynced(`${idFile}.new`, `${id}\n`);
  await rename(`${idFile}.new`, idFile);
  await syncFolder(folder);
  await syncFolder(data);
}

async function requireSpace(data: string, { content, dump }: BackupList): Promise<void> {
  const { bavail, bsize } = await statfs(data);
  const free = bavail * bsize;
  const needed = content.bytes * SPACE_MARGIN + 20 * dump.bytes;
  const { blocks } = await statfs(data);
  // A restore that continues has most of it.
  if (free + (await bytesIn(data, content.bytes)) >= needed || blocks === 0) return;
  throw new Fault(
    'no-space',
    `the restore needs ${formatBytes(needed)}, and ${data} has ${formatBytes(free)} free: restore to a larger volume`,
  );
}

/** Bytes of the content that an interrupted restore has copied, `max` at most. */
async function bytesIn(data: string, max: number): Promise<number> {
  let bytes = 0;
  const entries = await readdir(join(data, 'blobs'), { recursive: true, withFileTypes: true }).catch(
    () => [],
  );
  for (const entry of entries) {
    if (!entry.isFile() || bytes >= max) continue;
    bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

/** Copies and verifies all content. A file that is in its place was verified by the restore that was interrupted. */
async function copyAll(
  { source, list, data }: Work,
  onMissing: (content: Content) => void,
  onProgress: (progress: Progress) => void,
): Promise<void> {
  const folders = new SyncedFolders(data);
  const touched = new Set<string>();
  const progress = { blobs: 0, bytes: 0, ofBlobs: list.content.blobs, ofBytes: list.content.bytes };
  const { folder } = restoreFiles(data);
  const copies = new Copies(COPIES);
  const copy = async (content: Content, from: Awaited<ReturnType<BackupSource['content']>>) => {
    const [algorithm, hex] = splitDigest(content.digest);
    const path = join(data, blobPath(algorithm, hex));
    touched.add(dirname(path));
    if ((await stat(path).catch(() => undefined))?.size !== content.size) {
      await folders.make(dirname(path));
      const target = { temporary: join(folder, randomHex()), path, mode: 0o444 };
      const copied = from && from.size === content.size && (await copyContent(content, from, target, noPace));
      if (!copied || copied === 'damaged') onMissing(content);
    }
    progress.blobs += 1;
    progress.bytes += content.size;
    onProgress(progress);
  };
  try {
    for await (const line of readDump(await source.dump(list.id), list.dump)) {
      const content = contentOf(line);
      if (!content) continue;
      const from = await source.content(content.digest);
      await copies.add(() => copy(content, from));
    }
  } finally {
    await copies.end();
  }
  copies.throwFailure();
  for (const one of touched) await folders.sync(one).catch(unlessMissing);
}

const noPace = async () => {};

/** The folder of a blob that is missing was not made. */
function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/**
 * Writes the metadata next to where they will be, and the small files.
 * @param onDamaged content that was damaged in the layer already, and has no blob in the backup
 * @returns notes for the operator
 */
async function writeRecords(
  { source, list, data }: Work,
  isMissing: (digest: string) => boolean,
  onDamaged: (digest: string) => void,
): Promise<string[]> {
  await using records = await RebuiltRecords.open(restoreFiles(data).metadata);
  let batch: Change[] = [];
  let lastEntry = 0;
  let withdrawn = 0;
  const now = Date.now();
  const notes: string[] = [];
  for await (const line of readDump(await source.dump(list.id), list.dump)) {
    if (!Array.isArray(line)) {
      if ('file' in line && FILES.has(line.file))
        await writePrivate(join(data, line.file), Buffer.from(line.base64, 'base64'));
      continue;
    }
    const [key, value] = line;
    const kind = kindOf(key);
    if (kind === kinds.journalEntry) lastEntry = Number(key.slice(prefix(kinds.journalEntry).length));
    if (kind === kinds.withdrawn) withdrawn += 1;
    if (kind === kinds.damaged) onDamaged(key.slice(prefix(kinds.damaged).length));
    if (!isRestored(key)) continue;
    const content = contentOf(line);
    if (content && isMissing(content.digest))
      addAll(batch, missingContent(content.digest, content.size, now));
    else batch.push(set(key, value));
    if (batch.length < BATCH) continue;
    await records.write(batch);
    batch = [];
  }
  await records.write(batch);
  const { changed, deleted } = await dropUnsureBases(records);
  if (changed > 0)
    notes.push(
      `${plural(changed, 'tag')} of the backup had yet to be sent to the parent: where the parent has another content by now, the policy for conflicts decides`,
    );
  if (deleted + withdrawn > 0)
    notes.push(
      `${plural(Math.max(deleted, withdrawn), 'deletion')} of the backup had yet to be sent to the parent: what the parent still has comes back; delete it again`,
    );
  await records.sync(restoredMark({ backup: list.id, at: list.at, restored: now }, lastEntry));
  return notes;
}

function addAll(batch: Change[], changes: readonly Change[]): void {
  for (const change of changes) batch.push(change);
}

async function writePrivate(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  await file.writeFile(bytes);
  await file.sync();
  await chmod(path, 0o600);
}

async function syncTree(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    await using file = await open(join(folder, name), 'r');
    await file.sync();
  }
  await syncFolder(folder);
}
