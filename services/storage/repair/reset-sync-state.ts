import { randomBytes } from 'node:crypto';
import { put, set } from '../metadata/batch-changes.ts';
import type { JournalEntry } from '../metadata/journal.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';
import type { RepairReport } from './repair-report.ts';
import { LOST_AND_FOUND } from './restore-manifests.ts';

/**
 * Discards everything that was agreed with the parent or published to the layers below: a record that was lost or
 * reverted to an older value must never look like a deletion. The layer compares everything with its parent again, as
 * with a new parent (../sync/parent-record.ts): equal content becomes the base, content of one side goes to the other,
 * and the conflict policy resolves differences.
 */
export async function resetSyncState(records: RebuiltRecords, report: RepairReport): Promise<void> {
  const withdrawn = await records.clear(prefix(kinds.withdrawn));
  if (withdrawn > 0) {
    report.notes.push(
      `${withdrawn} manifest deletions that were not yet sent to the parent are lost: manifests that it still has return; delete them again`,
    );
  }
  const agreed = [kinds.base, kinds.sending, kinds.parked, kinds.session, kinds.mark];
  for (const kind of agreed) await records.clear(prefix(kind));
  let since = Date.now();
  for await (const [key] of records.entries(prefix(kinds.manifest))) {
    const [repository, digest] = key.split('!') as [string, string];
    if (repository === LOST_AND_FOUND || (await records.has(prefix(kinds.unsent) + key))) continue;
    since += 1;
    await records.write(put.unsent(repository, digest, { since, found: true }));
  }
  let last = 0;
  for await (const [number] of records.entries(prefix(kinds.journalEntry))) last = Number(number);
  await records.clear(prefix(kinds.journalEntry));
  await records.write([
    // No earlier cursor is accepted: its entry is deleted, and `0.` requires a journal that starts at entry 1.
    set(keys.journalEntry(last + 2), [
      't',
      LOST_AND_FOUND,
      'repaired',
      randomBytes(4).toString('hex'),
    ] satisfies JournalEntry),
    set(keys.repaired, randomBytes(8).toString('hex')),
    { type: 'del', key: keys.cursor },
    // Unsynced writes may be missing: treated like a reboot, so that no ingest is trusted.
    set(keys.boot, 'repaired'),
  ]);
}
