import { randomBytes } from 'node:crypto';
import { put, set } from '../metadata/changes.ts';
import type { Entry } from '../metadata/journal.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import type { Records } from './records.ts';
import type { Report } from './report.ts';
import { LOST_AND_FOUND } from './restore-manifests.ts';

/**
 * Nothing that was agreed on with the parent, or told to the layers below, is relied on any more: a record that is lost,
 * or older than it was, must never look like a deletion. So all is compared anew, as with a parent that was never met
 * (parent.ts): what both have is agreed on, what one side has goes to the other, and where they differ, the policy for
 * conflicts decides.
 */
export async function beginAnew(records: Records, report: Report): Promise<void> {
  const withdrawn = await records.clear(prefix(kinds.withdrawn));
  if (withdrawn > 0) {
    report.notes.push(
      `${withdrawn} deletions of manifests that the parent was still to be told are forgotten: what it has of them comes back`,
    );
  }
  for (const kind of [kinds.base, kinds.parked, kinds.session, kinds.mark]) await records.clear(prefix(kind));
  let since = Date.now();
  for await (const [key] of records.entries(prefix(kinds.manifest))) {
    const [repository, digest] = key.split('!') as [string, string];
    if (repository === LOST_AND_FOUND || (await records.has(prefix(kinds.unsent) + key))) continue;
    since += 1;
    await records.write(put.unsent(repository, digest, { since, found: true }));
  }
  let last = 0;
  for await (const [number] of records.entries(prefix(kinds.entry))) last = Number(number);
  await records.clear(prefix(kinds.entry));
  await records.write([
    // No cursor of before is known, and the journal does not begin with its first entry.
    set(keys.entry(last + 2), [
      't',
      LOST_AND_FOUND,
      'repaired',
      randomBytes(4).toString('hex'),
    ] satisfies Entry),
    set(keys.repaired, randomBytes(8).toString('hex')),
    { type: 'del', key: keys.cursor },
    // What was not synced may be missing: no ingest is relied on.
    set(keys.boot, 'repaired'),
  ]);
}
