import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { cancelBackup, MAX_KEEP, runBackup } from '#proto/content/backups.ts';
import { instantOf } from '#proto/contract/time-text.ts';
import { bytesOf } from '#proto/document/quantities.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { dataOption } from '../../data/data-option.ts';
import { runBackupProcess } from '../../layer/backup-process.ts';
import { type Operation, withStorage } from '../../layer/with-storage.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { BackupBar } from '../../text/backup/backup-progress.ts';
import { backupText, checkText, listText, notSeenText, pruneText } from '../../text/backup/backup-text.ts';

/** Interval at which the progress is read, in ms. */
const POLL_MS = 500;

type Options = { data: string; rate?: number; keep?: number; json?: boolean };

export function addBackupCommand(program: Command): void {
  const backup = program
    .command('backup')
    .description('back up the layer while it runs, and list, check and delete backups')
    .argument('[target]', 'folder of backups, of which each writes only what is new, or a new .tar file')
    .addOption(dataOption())
    .option('--rate <bytes>', 'max bytes per second that are read, such as 20MB (default: no limit)', rateOf)
    .option('--keep <count>', 'how many backups the folder keeps (default: all)', countOf)
    .option('--json', 'as JSON')
    .action(async (target: string | undefined, { data, rate, keep, json = false }: Options) => {
      if (target === undefined)
        throw new Refusal('name a folder or a .tar file: terrace backup /media/usb/terrace', 2);
      if (keep !== undefined && target.endsWith('.tar'))
        throw new Refusal('--keep is for a folder of backups: a .tar file has one backup', 2);
      const query = {
        target: resolve(target),
        ...(rate !== undefined && { rate }),
        ...(keep !== undefined && { keep }),
      };
      const done = await withStorage(data, (operation) => backUp(operation, query));
      if (json) printJson(JSON.stringify(done, null, 2));
      else print(wrapLines(backupText(done), terminalWidth()));
      if (await isMissing(done.target)) printError(wrapLines(notSeenText(done.target), terminalWidth()));
      if (done.missing) process.exitCode = 1;
    });
  backup
    .command('list')
    .description('list the complete backups')
    .argument('<source>', 'folder or .tar file of backups')
    .option('--json', 'as JSON')
    .action(async (source: string, _: object, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const listed = await runBackupProcess({ task: 'list', source: resolve(source) }, 'listed', () => {});
      if (json) printJson(JSON.stringify(listed, null, 2));
      else print(listText(listed, terminalWidth()));
      if (listed.unreadable.length > 0) process.exitCode = 1;
    });
  backup
    .command('check')
    .description('read back all of a backup')
    .argument('<source>', 'folder or .tar file of backups')
    .option('--at <time>', 'the last backup of this time or earlier (default: the last one)', atOf)
    .option('--rate <bytes>', 'max bytes per second that are read, such as 20MB (default: no limit)', rateOf)
    .option('--json', 'as JSON')
    .action(async (source: string, _: object, command: Command) => {
      const { at, rate, json } = command.optsWithGlobals<{ at?: number; rate?: number; json?: boolean }>();
      using bar = new BackupBar('read');
      const task = { task: 'check' as const, source: resolve(source) };
      const checked = await runBackupProcess(
        { ...task, ...(at !== undefined && { at }), ...(rate !== undefined && { rate }) },
        'checked',
        (progress) => bar.show(progress),
      );
      bar[Symbol.dispose]();
      if (json) printJson(JSON.stringify(checked, null, 2));
      else print(wrapLines(checkText(checked), terminalWidth()));
      if (checked.damaged.blobs > 0) process.exitCode = 1;
    });
  backup
    .command('prune')
    .description('delete old backups, and content that only they have')
    .argument('<folder>', 'folder of backups')
    .option('--keep <count>', 'how many backups to keep', countOf)
    .option('--json', 'as JSON')
    .action(async (source: string, _: object, command: Command) => {
      const { keep, json } = command.optsWithGlobals<{ keep?: number; json?: boolean }>();
      if (keep === undefined) throw new Refusal('say how many backups to keep: --keep 7', 2);
      const pruned = await runBackupProcess(
        { task: 'prune', source: resolve(source), keep },
        'pruned',
        () => {},
      );
      if (json) printJson(JSON.stringify(pruned, null, 2));
      else print(wrapLines(pruneText(pruned), terminalWidth()));
    });
}

async function backUp({ bus, signal }: Operation, query: { target: string; rate?: number; keep?: number }) {
  using bar = new BackupBar('copied');
  const end = new AbortController();
  const show = async () => {
    while (!end.signal.aborted) {
      await sleep(POLL_MS, undefined, { signal: end.signal }).catch(() => {});
      const { backup } = await bus.call(storageStatus, {}, { signal: end.signal });
      if (backup?.running) bar.show(backup.running);
    }
  };
  show().catch(() => {});
  try {
    return await bus.call(runBackup, query, { signal, patience: 15_000 });
  } catch (error) {
    // Without this, storage would go on.
    if (signal.aborted) await bus.call(cancelBackup, {}, { patience: 2_000 }).catch(() => {});
    throw error;
  } finally {
    end.abort();
  }
}

/** Storage may have another view of the file system: a service of systemd has a /tmp of its own. */
async function isMissing(target: string): Promise<boolean> {
  return stat(target).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );
}

/** @throws InvalidArgumentError */
function rateOf(text: string): number {
  const rate = bytesOf(text);
  if (rate === undefined || rate < 1) throw new InvalidArgumentError('write bytes per second, such as 20MB');
  return rate;
}

/** @throws InvalidArgumentError */
function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > MAX_KEEP)
    throw new InvalidArgumentError(`write a number from 1 to ${MAX_KEEP}`);
  return count;
}

/** @throws InvalidArgumentError */
export function atOf(text: string): number {
  const at = instantOf(text);
  if (at === undefined)
    throw new InvalidArgumentError('write a time, such as 2027-01-31T12:00Z, or a date, such as 2027-01-31');
  return at;
}
