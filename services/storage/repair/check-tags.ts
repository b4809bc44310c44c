import { drop, put } from '../metadata/batch-changes.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import type { Hints } from './hints.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';
import { addLine, type RepairReport } from './repair-report.ts';

/**
 * Deletes tags whose manifest is missing, and restores lost or outdated tags from hints. The last hint at a tag counts,
 * and only if the tag is missing or points to the digest of an earlier hint: a tag that is newer than all hints stays.
 */
export async function checkTags(records: RebuiltRecords, hints: Hints, report: RepairReport): Promise<void> {
  const deleted: [repository: string, tag: string, digest: string][] = [];
  for await (const [key, digest] of records.entries<string>(prefix(kinds.tag))) {
    const [repository, tag] = key.split('!') as [string, string];
    if (await records.has(keys.manifest(repository, digest))) continue;
    await records.write(drop.tag(repository, tag));
    deleted.push([repository, tag, digest]);
  }
  for (const [key, digests] of hints.tags) {
    const [repository, tag] = key.split('!') as [string, string];
    const digest = digests.at(-1) as string;
    const current = await records.get<string>(prefix(kinds.tag) + key);
    if (current === digest || (current !== undefined && !digests.includes(current))) continue;
    if (!(await records.has(keys.manifest(repository, digest)))) continue;
    await records.write(put.tag(repository, tag, digest));
    addLine(report.restored, `tag ${repository}:${tag}, which pointed to ${digest}`);
  }
  for (const [repository, tag, digest] of deleted) {
    if (await records.has(keys.tag(repository, tag))) continue;
    addLine(report.lost, `tag ${repository}:${tag}, which pointed to ${digest}: its manifest is missing`);
  }
}
