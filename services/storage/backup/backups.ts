import { resolve } from 'node:path';
import type { Bus } from '#proto/bus/bus.ts';
import { type Backup, type BackupStatus, backupCompleted, backupFailed } from '#proto/content/backups.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import type { Audit } from '../audit/audit.ts';
import { byAccount } from '../audit/caller-context.ts';
import { put } from '../metadata/metadata.ts';
import type { BackupRecord } from '../metadata/records.ts';
import { type BackedUp, type BackupRunDeps, backUp, isOnVolume, mustBeOutside } from './backup-run.ts';
import { pruneBackups } from './prune.ts';
import type { BackupTarget } from './target/backup-target.ts';
import type { Progress } from './target/copies.ts';
import { FolderTarget } from './target/folder-target.ts';
import { paceAt } from './target/pace.ts';
import { isTarTarget, TarTarget } from './target/tar-target.ts';
import { targetFault } from './target/target-faults.ts';

/*
 * Backups of the layer, while it runs, to a folder or a tar file outside of the data volume; and what is done with them
 * while no layer uses them.
 *
 *   backups.ts         `Backups`: one backup at a time, its status, its entries in audit and events;
 *                      backup-schedule.ts begins them
 *   backup-run.ts      the steps of one backup; held-content.ts holds the files that it copies
 *   check.ts, prune.ts   check and delete backups; tasks.ts runs that and a restore in a process of its own (main.ts)
 *   target/            where a backup goes, and how it is read: backup-format.ts has the layout
 *   restore/           restores a backup to an empty data volume; restored-report.ts has what became of later changes
 */

type BackupsDeps = BackupRunDeps & {
  publish: Bus['publish'];
  audit: Audit;
  instance: () => Promise<string>;
};

export type BackupOptions = {
  target: string;
  rate?: number | undefined;
  keep?: number | undefined;
  /** A target that has no backups any more, and had some, is refused: its medium is not mounted. */
  scheduled?: boolean;
};

/**
 * How long a target may take to open, and a backup that was aborted to end, in ms. A target that hangs fails nothing:
 * what waits for it is left behind.
 */
const PATIENCE = { openMs: 60_000, endMs: 10_000 };

type Running = Progress & { since: number; target: string; abort: AbortController };

/** The backups of this layer. */
export class Backups {
  readonly #deps: BackupsDeps;
  #running: Running | undefined;
  #ended: Promise<unknown> | undefined;
  /** Of a backup that failed, and still waits for its target. */
  #hungTarget: string | undefined;
  readonly patience = { ...PATIENCE };
  #record: BackupRecord;
  #failures = 0;
  /** Of the configuration. */
  schedule: BackupStatus['schedule'];

  /** @param record the stored one */
  constructor(deps: BackupsDeps, record: BackupRecord = {}) {
    this.#deps = deps;
    this.#record = record;
  }

  /** Makes a backup. @throws Fault see `runBackup` */
  async run({ target: named, ...options }: BackupOptions): Promise<Backup> {
    if (this.#running) throw new Fault('busy', 'a backup is already running: wait until it ends');
    if (this.#hungTarget !== undefined) {
      throw new Fault(
        'busy',
        `the target ${this.#hungTarget} of the last backup still does not answer: check the medium, or the server of the share; the next backup begins once it answers`,
      );
    }
    const target = resolve(named);
    const abort = new AbortController();
    const progress = { blobs: 0, bytes: 0, ofBlobs: 0, ofBytes: 0 };
    const running = Object.assign(progress, { since: this.#deps.now(), target, abort });
    this.#running = running;
    const summaryOf = ({ id, blobs, bytes, missing }: Backup) => ({
      ...{ id, blobs, bytes },
      ...(missing && { missing: missing.blobs }),
    });
    const facts = { action: 'backup/run', detail: { target: clip(target, 400) } };
    const work = this.#deps.audit.change(facts, () => this.#run(running, options), summaryOf);
    this.#ended = work.catch(() => {});
    try {
      return await work;
    } finally {
      this.#running = undefined;
    }
  }

  /** Cancels a running backup, and waits until it has ended. */
  async cancel(reason = 'the backup was cancelled: back up again'): Promise<void> {
    this.#running?.abort.abort(new Fault('unavailable', reason));
    await this.#ended;
  }

  get status(): BackupStatus | undefined {
    const { last, failed } = this.#record;
    const running = this.#running;
    const { schedule } = this;
    if (!last && !failed && !running && !schedule) return undefined;
    const isLate = schedule?.lateAfter !== undefined && schedule.lateAfter <= this.#deps.now();
    return {
      ...(last && { last }),
      ...(failed && { failed }),
      ...(running && { running: runningOf(running) }),
      failures: this.#failures,
      ...(schedule && { schedule: { ...schedule, ...(isLate && { late: true as const }) } }),
    };
  }

  async #run(running: Running, options: Omit<BackupOptions, 'target'>): Promise<Backup> {
    const { log, publish } = this.#deps;
    const { target: path, abort } = running;
    const began = performance.now();
    try {
      const { done, deleted, warnings } = await this.#endingSoon(this.#write(running, options), running);
      const backup = { ...done, ms: Math.round(performance.now() - began), deleted, warnings };
      await this.#completed(backup);
      return backup;
    } catch (error) {
      const cause = abort.signal.aborted ? abort.signal.reason : error;
      const fault = targetFault(cause, path);
      const { message } = fault as Error;
      await this.#failed(path, message);
      log.error({ err: fault, target: path }, 'backup failed; earlier ones are not affected');
      publish(backupFailed, { target: path, reason: clip(message, MAX_REASON_LENGTH), ...byAccount() });
      throw fault;
    }
  }

  /** Work that was aborted, and waits for a target that hangs, is left behind. It ends once the target answers. */
  async #endingSoon<T>(work: Promise<T>, { abort: { signal }, target }: Running): Promise<T> {
    const left = Promise.withResolvers<never>();
    let timer: NodeJS.Timeout | undefined;
    const onAbort = () => {
      timer = setTimeout(() => {
        this.#hungTarget = target;
        left.reject(signal.reason);
      }, this.patience.endMs);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const ended = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      if (this.#hungTarget === undefined) return;
      this.#hungTarget = undefined;
      this.#deps.log.info({ target, notice: true }, 'the backup target answers again');
    };
    work.then(ended, ended);
    return await Promise.race([work, left.promise]);
  }

  async #write(
    running: Running,
    { rate, keep, scheduled = false }: Omit<BackupOptions, 'target'>,
  ): Promise<{ done: BackedUp; deleted: number; warnings: string[] }> {
    const { data } = this.#deps;
    const { target: path, abort } = running;
    mustBeOutside(data, path);
    const at = new Date(this.#deps.now());
    const pace = paceAt(rate, abort.signal);
    const instance = await this.#deps.instance();
    const timer = setTimeout(
      () =>
        abort.abort(new Fault('unavailable', `the backup target ${path} does not answer: check the medium`)),
      this.patience.openMs,
    );
    const target = await this.#open(path, instance, at, scheduled).finally(() => clearTimeout(timer));
    const warnings: string[] = [];
    let done: BackedUp;
    let deleted = 0;
    {
      await using _target = target;
      try {
        abort.signal.throwIfAborted();
        done = await backUp(this.#deps, { target, instance, at, abort, pace, progress: running });
      } catch (error) {
        await target.abandon();
        throw error;
      }
      if (keep !== undefined && target instanceof FolderTarget) {
        // The new backup is complete in any case.
        const facts = { signal: abort.signal, made: done.id };
        const pruned = await pruneBackups(path, keep, target.lock, facts).catch((err) => {
          const reason = (targetFault(err, path) as Error).message;
          warnings.push(clip(`older backups were not deleted: ${reason}`, MAX_REASON_LENGTH));
        });
        deleted = pruned?.backups.length ?? 0;
      }
    }
    if (await isOnVolume(data, path).catch(() => false))
      warnings.push('the target is on the file system of the data volume: a failed disk takes both');
    return { done, deleted, warnings };
  }

  #open(path: string, instance: string, at: Date, scheduled: boolean): Promise<BackupTarget> {
    const mark = { layer: this.#deps.layer, instance };
    if (isTarTarget(path)) return TarTarget.open(path, mark, at);
    return FolderTarget.open(path, mark, at, scheduled && this.#record.last?.target === path);
  }

  async #completed(backup: Backup): Promise<void> {
    const { id, target, at, ms, blobs, bytes, written, missing } = backup;
    const { log, publish } = this.#deps;
    this.#record = {
      last: {
        ...{ id, target, at, ms, blobs, bytes },
        written: written.bytes,
        ...(missing && { missing: missing.blobs }),
      },
    };
    await this.#store();
    log.info({ ...backup, missing: missing?.blobs, notice: true }, 'backup completed');
    publish(backupCompleted, { ...backup, ...byAccount() });
  }

  async #failed(target: string, message: string): Promise<void> {
    const count = (this.#record.failed?.count ?? 0) + 1;
    const reason = clip(message, MAX_REASON_LENGTH);
    this.#failures += 1;
    this.#record = { ...this.#record, failed: { at: this.#deps.now(), target, reason, count } };
    await this.#store();
  }

  /** A failure to store it costs the status after a restart, not the backup. */
  async #store(): Promise<void> {
    const { metadata, log } = this.#deps;
    await metadata
      .write(put.backup(this.#record))
      .catch((err) => log.warn({ err }, 'the status of the backups could not be stored'));
  }
}

function runningOf({ abort: _, ...running }: Running): NonNullable<BackupStatus['running']> {
  return running;
}
