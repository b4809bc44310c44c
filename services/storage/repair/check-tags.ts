import { drop, put } from '../metadata/changes.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import type { Hints } from './hints.ts';
import type { Records } from './records.ts';
import { type Report, say } from './report.ts';

/**
 * Tags that point to nothing go; those that are lost, or were moved after what is known of them, point again to what
 * the hints say. Of several hints at one tag, the last one counts, and only where the tag points to nothing, or to what
 * an earlier hint says: what is newer than all hints stays.
 */
export async function checkTags(records: Records, hints: Hints, report: Report): Promise<void> {
  const gone: [repository: string, tag: string, digest: string][] = [];
  for await (const [key, digest] of records.entries<string>(prefix(kinds.tag))) {
    const [repository, tag] = key.split('!') as [string, string];
    if (await records.has(keys.manifest(repository, digest))) continue;
    await records.write(drop.tag(repository, tag));
    gone.push([repository, tag, digest]);
  }
  for (const [key, digests] of hints.tags) {
    const [repository, tag] = key.split('!') as [string, string];
    const digest = digests.at(-1) as string;
    const now = await records.get<string>(prefix(kinds.tag) + key);
    if (now === digest || (now !== undefined && !digests.includes(now))) continue;
    if (!(await records.has(keys.manifest(repository, digest)))) continue;
    await records.write(put.tag(repository, tag, digest));
    say(report.broughtBack, `tag ${repository}:${tag}, which pointed to ${digest}`);
  }
  for (const [repository, tag, digest] of gone) {
    if (await records.has(keys.tag(repository, tag))) continue;
    say(report.lost, `tag ${repository}:${tag}, which pointed to ${digest}: its manifest is not here`);
  }
}
