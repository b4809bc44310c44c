import { randomBytes } from 'node:crypto';
import { type Change, drop, put, set } from '../../metadata/batch-changes.ts';
import { ChangeBatches } from '../../metadata/change-batches.ts';
import type { JournalEntry } from '../../metadata/journal.ts';
import { type Kind, keys, kindOf, kinds, prefix } from '../../metadata/keys.ts';
import type { RestoredRecord, SendingRecord } from '../../metadata/records.ts';

/*
 * What a restored layer takes over of its records, and what not:
 *
 *   content, tags, accounts, children, instance   as in the backup
 *   bases            only those that their tag points to, if no pass was sending a change of the tag. With its parent,
 *                    the layer is then one that was off since the backup: what changed there is taken. A change that
 *                    was still to be sent then may have been sent since, and changed there again: without a base,
 *                    neither side overwrites the other.
 *   withdrawals      dropped: what was to be deleted at the parent may have been pushed there again since
 *   journal          another one: the cursor of no layer below is known
 *   last repair      another one: layers below forget what they agreed on with this one, which may lack it now, so it
 *                    does not look like a deletion (../sync/parent-record.ts)
 *   deltas           dropped: they are a cache
 *   ingests, sessions, outbox, positions in the history and in the audit log, the status of backups   dropped: they
 *                    belong to files and to a bus that are not restored
 */

const DROPPED: ReadonlySet<Kind> = new Set([
  kinds.ingest,
  kinds.session,
  kinds.outbox,
  kinds.webhook,
  kinds.withdrawn,
  kinds.mark,
  kinds.journalEntry,
  kinds.counters,
  kinds.parked,
  kinds.delta,
  kinds.refusedDelta,
]);
const DROPPED_KEYS: ReadonlySet<string> = new Set([
  keys.cursor,
  keys.history,
  keys.ageMarks,
  keys.forwarding,
  keys.backup,
  keys.boot,
]);

/** Whether a restored layer has this record of its backup. Pure. */
export function isRestored(key: string): boolean {
  const kind = kindOf(key);
  return kind === undefined ? !DROPPED_KEYS.has(key) : !DROPPED.has(kind);
}

/** Records under restore. `entries` yields keys without the prefix. */
export interface RestoredRecords {
  get<T>(key: string): Promise<T | undefined>;
  write(changes: Change[]): Promise<void>;
  entries<T>(prefix: string): AsyncGenerator<[suffix: string, value: T]>;
}

/**
 * Drops the bases that their tags do not point to, of a layer that may have sent its change since.
 * @returns tags that were still to be sent, or to be deleted at the parent
 */
export async function dropUnsureBases(
  records: RestoredRecords,
): Promise<{ changed: number; deleted: number }> {
  const found = { changed: 0, deleted: 0 };
  const batches = new ChangeBatches(records);
  for await (const [name, base] of records.entries<string>(prefix(kinds.base))) {
    const [repository = '', tag = ''] = name.split('!');
    const target = await records.get<string>(keys.tag(repository, tag));
    const isSending = (await records.get<SendingRecord>(keys.sending(repository, tag))) !== undefined;
    if (target === base && !isSending) continue;
    if (target === undefined) found.deleted += 1;
    else found.changed += 1;
    await batches.add(drop.base(repository, tag));
  }
  for await (const [name] of records.entries(prefix(kinds.sending))) {
    const [repository = '', tag = ''] = name.split('!');
    await batches.add(drop.sending(repository, tag));
  }
  await batches.end();
  return found;
}

/** Content that is not restored counts as damaged: it is fetched from the parent, or comes with a push. */
export const missingContent = (digest: string, size: number, since: number): Change[] =>
  put.damaged(digest, { size, since });

/** The last records: only with them, the layer is a restored one. @param lastEntry last one of the backup's journal */
export function restoredMark(restored: RestoredRecord, lastEntry: number): Change[] {
  const entry: JournalEntry = ['t', 'lost-and-found', 'restored', randomBytes(4).toString('hex')];
  return [
    // No earlier cursor is accepted: its entry is deleted, and `0.` requires a journal that starts at entry 1.
    set(keys.journalEntry(lastEntry + 2), entry),
    set(keys.repaired, randomBytes(8).toString('hex')),
    set(keys.restored, restored),
    // Treated like a reboot, so that no ingest is trusted.
    set(keys.boot, 'restored'),
  ];
}
