import { join } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import type { BackupTask, BackupTaskAnswer, ListedBackup } from '#proto/volume/backup-task.ts';
import { checkBackup } from './check.ts';
import { pruneBackups } from './prune.ts';
import { restoreBackup } from './restore/restore.ts';
import { LOCK } from './target/backup-format.ts';
import { type BackupSource, chosenList, openSource } from './target/backup-source.ts';
import type { Progress } from './target/copies.ts';
import { paceAt } from './target/pace.ts';
import { isTarTarget } from './target/tar-target.ts';
import { TargetLock } from './target/target-lock.ts';

export type OnProgress = (progress: Progress) => void;

/** Work on backups without the layer. @throws Fault */
export async function runBackupTask(task: BackupTask, onProgress: OnProgress): Promise<BackupTaskAnswer> {
  const began = performance.now();
  const took = () => Math.round(performance.now() - began);
  if (task.task === 'prune') return prune(task);
  if (task.task === 'restore') return { ...(await restoreBackup(task, onProgress)), ms: took() };
  await using source = await openSource(task.source);
  if (task.task === 'list') return await listAll(source);
  const list = await chosenList(source, task.at);
  const progress = { blobs: 0, bytes: 0, ofBlobs: list.content.blobs, ofBytes: list.content.bytes };
  const pace = paceAt(task.rate, new AbortController().signal);
  const checked = await checkBackup(source, list, pace, ({ size }) => {
    progress.blobs += 1;
    progress.bytes += size;
    onProgress(progress);
  });
  return { kind: 'checked', ...checked, ms: took() };
}

async function listAll(source: BackupSource): Promise<BackupTaskAnswer> {
  const backups: ListedBackup[] = [];
  const unreadable: string[] = [];
  for (const id of await source.ids()) {
    try {
      const { at, terrace, layer, dump, content, missing } = await source.list(id);
      const { records } = dump;
      const { blobs, bytes } = content;
      backups.push({ id, at, terrace, layer, records, blobs, bytes, missing: missing.blobs });
    } catch (error) {
      unreadable.push((error as Error).message);
    }
  }
  return { kind: 'listed', backups, unreadable };
}

async function prune({ source, keep }: Extract<BackupTask, { task: 'prune' }>): Promise<BackupTaskAnswer> {
  if (isTarTarget(source)) throw new Fault('conflict', `${source} has one backup: delete the file instead`);
  // Fails if there are no backups.
  await (await openSource(source))[Symbol.asyncDispose]();
  await using lock = await TargetLock.take(join(source, LOCK));
  return { kind: 'pruned', ...(await pruneBackups(source, keep, lock)) };
}
