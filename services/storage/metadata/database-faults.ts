import { Fault } from '#proto/contract/fault.ts';
import type { Finding } from '../leveldb/examine.ts';

/** Maps an error of LevelDB to a fault, if one fits. */
export function asFault(error: unknown): unknown {
  const { code, message, cause } = error as Error & { code?: string };
  if (code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN') {
    return new Fault('unavailable', 'storage is shutting down: try again', { cause: error });
  }
  // LevelDB passes on the system's message, but not its code.
  if (/no space left|quota exceeded/i.test(`${message} ${(cause as Error | undefined)?.message}`)) {
    return new Fault('no-space', 'the data volume is full: free space, then try again', { cause: error });
  }
  return error;
}

/** Whether stored data cannot be read as it was written. Only reopening shows which data. */
export const isUnreadable = (error: unknown): boolean =>
  ['LEVEL_CORRUPTION', 'LEVEL_IO_ERROR'].includes((error as { code?: string }).code ?? '');

/** Max findings in a message. */
const MAX_NAMED = 5;

/** @param volume path of the data volume */
export function damaged(volume: string, findings: Finding[]): Fault {
  const named = findings.slice(0, MAX_NAMED).map(({ file, what }) => `${file} ${what}`);
  const more = findings.length > MAX_NAMED ? `, and ${findings.length - MAX_NAMED} more` : '';
  return new Fault(
    'volume-unusable',
    `the metadata in ${volume} is damaged (${named.join('; ')}${more}), and was not changed: run "terrace repair --data ${volume}", which preserves it, restores as much as possible, and lists what is lost`,
  );
}

/** @param volume path of the data volume */
export const metadataLost = (volume: string): Fault =>
  new Fault(
    'volume-unusable',
    `${volume} has lost its metadata: restore the folder metadata from a backup, or run "terrace repair --data ${volume}", which restores what it can derive from the content, and lists what is lost`,
  );

/** Maps an error of the file system at opening to a fault, if a retry would fail in the same way. */
export function unusable(volume: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EROFS') {
    return new Fault(
      'volume-unusable',
      `${volume} can't be written (EROFS): its file system is mounted read-only: check the disk for errors, and mount it writable`,
    );
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new Fault(
      'volume-unusable',
      `the metadata in ${volume} can't be used (${code}): use the account that owns it, or run chown -R ${process.getuid?.() ?? 'USER'} ${volume}`,
    );
  }
  return error;
}

/** @param volume path of the data volume */
export const restoreUnfinished = (volume: string): Fault =>
  new Fault(
    'volume-unusable',
    `the restore of a backup to ${volume} was interrupted: run the same "terrace restore" again, which continues it`,
  );
