import type { RollbackRecord } from '#proto/volume/upgrade-copies.ts';
import { dropUnsureBases, isRestored, restoredMark } from '../backup/restore/restored-records.ts';
import type { Change } from '../metadata/batch-changes.ts';
import { kindOf, kinds, prefix } from '../metadata/keys.ts';
import { RebuiltRecords } from '../repair/rebuilt-records.ts';

const BATCH = 1_000;

/**
 * Makes of metadata of an earlier time those of a restored layer (../backup/restore/restored-records.ts): what went
 * over the link since is not known to them, and layers below have seen what they lack. It may be repeated.
 * @param folder of the metadata, which no process has open
 */
export async function applyRollback(folder: string, { copy, at, rolledBack }: RollbackRecord): Promise<void> {
  await using records = await RebuiltRecords.open(folder);
  let batch: Change[] = [];
  let lastEntry = 0;
  for await (const [key] of records.texts()) {
    const kind = kindOf(key);
    if (kind === kinds.journalEntry) lastEntry = Number(key.slice(prefix(kinds.journalEntry).length));
    // An ingest is a folder of the volume, which is still there: the opening matches both.
    if (isRestored(key) || kind === kinds.ingest) continue;
    batch.push({ type: 'del', key });
    if (batch.length < BATCH) continue;
    await records.write(batch);
    batch = [];
  }
  await records.write(batch);
  await dropUnsureBases(records);
  // The time of the copy, in the form of the id of a backup.
  const name = copy.slice(0, copy.indexOf('-'));
  await records.sync(restoredMark({ backup: name, at, restored: rolledBack }, lastEntry));
}
