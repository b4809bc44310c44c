import { constants, existsSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Level } from 'level';
import { restoreFiles } from '#proto/volume/layout.ts';
import { type Examined, examine } from '../leveldb/examine.ts';
import type { WriteBatch } from '../leveldb/write-batch.ts';
import { mayBeUnsynced } from './batch-changes.ts';
import { damaged, metadataLost, restoreUnfinished, unusable } from './database-faults.ts';
import { hasContent, mayLack, openingOf, readState, syncFolder, writeState } from './metadata-state.ts';

/** Opens LevelDB, once it is known that what is stored in it is readable. */

/**
 * Max size of the tables that an opening reads, in bytes, so that its time does not grow with the content. All others
 * are read afterwards (`Database.examineRest`).
 */
export const MAX_TABLE_BYTES_AT_OPENING = 8 * 1024 * 1024;

/** Interval between checks whether another process has closed it, in ms. */
const POLL_MS = 200;

/** Whether no process has it open. Changes nothing: LevelDB rejects these options as soon as it has the lock. */
export async function isFree(folder: string): Promise<boolean> {
  // The probe creates a missing folder.
  if (!existsSync(folder)) return true;
  const probe = new Level(folder, { createIfMissing: false, errorIfExists: true });
  try {
    await probe.open();
    await probe.close();
    return true;
  } catch (error) {
    return !isLocked(error);
  }
}

/** Waits until no process has it open, `patienceMs` at most. @returns false if one still has it open then */
export async function whenFree(folder: string, patienceMs: number): Promise<boolean> {
  for (const end = performance.now() + patienceMs; !(await isFree(folder)); await sleep(POLL_MS)) {
    if (performance.now() >= end) return false;
  }
  return true;
}

const isLocked = (error: unknown): boolean =>
  ((error as Error).cause as { code?: string } | undefined)?.code === 'LEVEL_LOCKED';

export type MetadataCheck = Pick<Examined, 'empty' | 'findings' | 'partial'> & {
  /** Metadata existed, and is lost. */
  missing: boolean;
};

/**
 * Examines metadata that no process has open.
 * @param boot current boot id of the machine
 * @param maxTableBytes see `examine`
 */
export async function examineMetadata(
  folder: string,
  boot: string,
  maxTableBytes?: number,
): Promise<MetadataCheck> {
  const state = await readState(folder);
  const lacking = mayLack(state, boot, await openingOf(folder));
  const { empty, findings, partial } = await examine(folder, { mayLack: lacking, isSynced }, maxTableBytes);
  const missing = empty && (state ? state.made : await hasContent(folder));
  return { empty, findings, missing, ...(partial && { partial }) };
}

/** `partial`: not all tables were read. */
export type Opened = { level: Level<string, unknown>; partial: boolean };

/** Undefined if another process has it open. */
export async function openLevel(folder: string, boot: string): Promise<Opened | undefined> {
  const volume = dirname(folder);
  if (existsSync(restoreFiles(volume).id)) throw restoreUnfinished(volume);
  try {
    const { empty, findings, missing, partial } = await examineMetadata(
      folder,
      boot,
      MAX_TABLE_BYTES_AT_OPENING,
    );
    if (findings.length > 0 || missing) {
      // If another process has opened it in the meantime, it changed during the examination.
      if (!(await isFree(folder))) return undefined;
      throw findings.length > 0 ? damaged(volume, findings) : metadataLost(volume);
    }
    // Before the first write, so that a crash is not taken for a clean close.
    const opening = await openingOf(folder);
    await writeState(folder, { boot, closed: false, made: !empty, opening });
    const level = new Level<string, unknown>(folder, { valueEncoding: 'json' });
    await level.open();
    if (empty) await syncFolder(folder);
    await writeState(folder, { boot, closed: false, made: true, opening: await openingOf(folder) });
    return { level, partial: partial === true };
  } catch (error) {
    if (isLocked(error)) return undefined;
    const { cause } = error as Error;
    if ((cause as { code?: string } | undefined)?.code === 'LEVEL_CORRUPTION') {
      throw damaged(volume, [{ file: 'LevelDB', what: (cause as Error).message }]);
    }
    const reason =
      cause === undefined
        ? error
        : await access(folder, constants.W_OK).then(
            () => cause,
            (denied) => denied,
          );
    throw unusable(volume, reason);
  }
}

const isSynced = ({ changes }: WriteBatch): boolean => changes.some((change) => !mayBeUnsynced(change));
