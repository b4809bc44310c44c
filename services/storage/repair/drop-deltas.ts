import { type BlobStore, sizeOf } from '../content/blob-store.ts';
import { drop } from '../metadata/batch-changes.ts';
import { ChangeBatches } from '../metadata/change-batches.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import type { BlobRecord } from '../metadata/records.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';

/**
 * Drops all records of deltas: they are a cache. Garbage collection deletes their content. Content of them that is
 * missing is no loss, unless a repository links it.
 */
export async function dropDeltas(records: RebuiltRecords, store: BlobStore): Promise<void> {
  const missing = new Set<string>();
  for await (const [digest] of records.entries(prefix(kinds.delta))) {
    const blob = await records.get<BlobRecord>(keys.blob(digest));
    if (blob && sizeOf(store.file(digest)) !== blob.size) missing.add(digest);
  }
  await records.clear(prefix(kinds.delta));
  await records.clear(prefix(kinds.refusedDelta));
  if (missing.size === 0) return;
  for await (const [name] of records.entries(prefix(kinds.link)))
    missing.delete(name.split('!')[1] as string);
  const batches = new ChangeBatches(records);
  for (const digest of missing) await batches.add(drop.blob(digest));
  await batches.end();
}
