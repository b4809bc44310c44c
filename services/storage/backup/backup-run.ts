import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type Backup, MAX_MISSING_NAMED } from '#proto/content/backups.ts';
import { Fault } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { LAST_TWIN, PARENT_PASSWORD } from '#proto/volume/layout.ts';
import { METADATA_VERSION } from '#proto/volume/metadata-version.ts';
import { spaceOf } from '#proto/volume/space.ts';
import { isNamed } from '../deltas/named-content.ts';
import { kindOf, kinds } from '../metadata/keys.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { BlobRecord } from '../metadata/records.ts';
import { HeldContent, type HeldDeps } from './held-content.ts';
import { namedFiles } from './named-files.ts';
import { FORMAT } from './target/backup-format.ts';
import type { BackupTarget } from './target/backup-target.ts';
import { Copies, type Progress } from './target/copies.ts';
import type { Content } from './target/copy-content.ts';
import { hashOnDisk } from './target/direct-read.ts';
import { contentOf, readDump } from './target/dump.ts';
import type { Pace } from './target/pace.ts';

/** Small files of the data volume that a backup contains, where they exist. */
const FILES = [LAST_TWIN, PARENT_PASSWORD];
/** Max size of one of them, in bytes. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Share of the needed space that is free besides: metadata of the file system. */
const SPACE_MARGIN = 1.02;
const MIN_SPARE_BYTES = 8 * 1024 * 1024;

export type BackupRunDeps = HeldDeps & {
  metadata: Metadata;
  /** Absolute path of the data volume. */
  data: string;
  layer: string;
  /** Of Terrace. */
  version: string;
  /** In force, for information. */
  configuration: () => unknown;
  /** Content that is damaged or missing here. */
  onDamaged: (digest: string) => void;
  /** Free bytes that the data volume is to keep. */
  reserve: () => number;
};

export type BackupRun = {
  target: BackupTarget;
  instance: string;
  at: Date;
  /** Aborts the run. */
  abort: AbortController;
  pace: Pace;
  progress: Progress;
};

export type BackedUp = Omit<Backup, 'ms' | 'deleted' | 'warnings'>;

/**
 * One backup. The records are those of one instant; from before it on, no file of content is deleted. First the records
 * are written and read back, then all content that they name is copied and read back, unless the target has it; last
 * comes the list, with which the backup exists.
 * @throws Fault
 */
export async function backUp(deps: BackupRunDeps, run: BackupRun): Promise<BackedUp> {
  const { target, instance, at, abort, pace, progress } = run;
  await using held = new HeldContent(deps, (reason) => abort.abort(reason));
  const moving: Pace = async (bytes) => {
    held.moved();
    await pace(bytes);
  };
  const missing: BackedUp['missing'] = { blobs: 0, first: [] };
  const onMissing = (digest: string) => {
    missing.blobs += 1;
    if (missing.first.length < MAX_MISSING_NAMED) missing.first.push(digest);
  };
  const { facts, place, newBytes } = await writeRecords(deps, run, () => held.moved(), onMissing);
  const disk = await hashOnDisk(place, 'sha256', moving);
  if (disk.hex !== facts.sha256) throw new Error(`${place.path} is not as it was written`);
  await requireSpace(deps, target, newBytes);
  const sum = createHash('sha256');
  const written = { blobs: 0, bytes: facts.bytes };
  const copy = async (content: Content) => {
    if (!(await target.has(content))) {
      const from = { path: deps.store.file(content.digest), offset: 0, size: content.size };
      if (await target.add(content, from, moving)) {
        written.blobs += 1;
        written.bytes += content.size;
      } else {
        abort.signal.throwIfAborted();
        onMissing(content.digest);
        deps.onDamaged(content.digest);
      }
    }
    held.moved();
    progress.blobs += 1;
    progress.bytes += content.size;
  };
  const copies = new Copies(target.copies);
  try {
    for await (const line of readDump(place, facts)) {
      const content = contentOf(line);
      if (!content) continue;
      abort.signal.throwIfAborted();
      sum.update(`${content.digest} ${content.size}\n`);
      await copies.add(() => copy(content));
    }
  } finally {
    await copies.end();
  }
  copies.throwFailure();
  abort.signal.throwIfAborted();
  const { ofBlobs: blobs, ofBytes: bytes } = progress;
  const configuration = deps.configuration();
  await target.complete({
    format: FORMAT,
    id: target.id,
    at: at.getTime(),
    terrace: deps.version,
    metadata: METADATA_VERSION,
    layer: deps.layer,
    instance,
    dump: facts,
    content: { blobs, bytes, sha256: sum.digest('hex') },
    missing,
    ...(configuration !== undefined && { configuration, files: namedFiles(configuration) }),
  });
  return {
    id: target.id,
    target: target.path,
    at: at.getTime(),
    records: facts.records,
    ...{ blobs, bytes, written },
    ...(missing.blobs > 0 && { missing }),
    readBack: disk.direct ? target.readBack : 'cache',
  };
}

/** Counts the content on the way. @param onMissing content that is known to be damaged, which has no blob */
async function writeRecords(
  { metadata, data }: BackupRunDeps,
  { target, abort, progress }: BackupRun,
  onMoved: () => void,
  onMissing: (digest: string) => void,
) {
  let newBytes = 0;
  // Deltas are a cache: neither their records nor their content are backed up. Their keys come before those of blobs.
  const deltas = new Set<string>();
  await using snapshot = metadata.readerNow();
  async function* records(): AsyncGenerator<[string, string]> {
    for await (const [key, json] of snapshot.texts()) {
      abort.signal.throwIfAborted();
      onMoved();
      const kind = kindOf(key);
      if (kind === kinds.delta) deltas.add(key.slice(2));
      if (kind === kinds.delta || kind === kinds.refusedDelta) continue;
      if (kind === kinds.blob && deltas.has(key.slice(2)) && !(await isNamed(snapshot, key.slice(2))))
        continue;
      if (kind === kinds.damaged) onMissing(key.slice(2));
      if (kind === kinds.blob) {
        const { size } = JSON.parse(json) as BlobRecord;
        progress.ofBlobs += 1;
        progress.ofBytes += size;
        if (!(await target.has({ digest: key.slice(2), size }))) newBytes += size;
      }
      yield [key, json];
    }
  }
  const files: { file: string; bytes: Uint8Array }[] = [];
  for (const file of FILES) {
    const path = join(data, file);
    const found = await stat(path).catch(() => undefined);
    if (!found?.isFile()) continue;
    if (found.size > MAX_FILE_BYTES)
      throw new Fault('too-large', `${path} is too large: check what wrote it`);
    files.push({ file, bytes: await readFile(path) });
  }
  return { ...(await target.writeDump(records(), files)), newBytes };
}

/** @throws Fault `no-space` if the new content does not fit, or would take the reserve of the data volume */
async function requireSpace(
  { data, reserve }: BackupRunDeps,
  target: BackupTarget,
  bytes: number,
): Promise<void> {
  const needed = bytes * SPACE_MARGIN + MIN_SPARE_BYTES;
  const free = await target.freeBytes();
  if (free < needed) {
    throw new Fault(
      'no-space',
      `the backup target ${target.path} has ${formatBytes(free)} free, and the backup needs ${formatBytes(needed)}: free space there, keep fewer backups, or name another target`,
    );
  }
  if (!(await isOnVolume(data, target.path))) return;
  const volume = await spaceOf(data, reserve());
  if (volume.free - needed >= volume.reserve) return;
  throw new Fault(
    'no-space',
    `the backup needs ${formatBytes(needed)} on the file system of the data volume, which has ${formatBytes(volume.free)} free and a reserve of ${formatBytes(volume.reserve)}: name a target on another disk`,
  );
}

/** Whether the target is on the file system of the data volume. */
export async function isOnVolume(data: string, target: string): Promise<boolean> {
  const deviceOf = async (path: string) => (await stat(path)).dev;
  const own = await deviceOf(data);
  return own === (await deviceOf(target).catch(() => deviceOf(dirname(target))));
}

/** @throws Fault `conflict` for a target in the data volume */
export function mustBeOutside(data: string, target: string): void {
  const path = relative(data, target);
  if (path !== '' && path.startsWith('..')) return;
  throw new Fault('conflict', `the backup target ${target} is in the data folder: name one outside of it`);
}
