import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { type Rename, RepositoryNames } from '#proto/oci/repository-names.ts';
import { ChangeBatches } from '../metadata/change-batches.ts';
import { drop, type Metadata, put } from '../metadata/metadata.ts';

export type ParentRecord = { parent: string; forget: boolean; repaired?: string; renames?: Rename[] };

type ParentDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  now: () => number;
};

/**
 * Records the parent of the passes. If it is another one and `forget` is set, everything agreed on with the previous
 * parent is void: no tag has a base, every manifest may be unsent, and nothing is withdrawn. The same holds if the same
 * parent had its metadata repaired (`repaired`, see proto/sync/outgoing.ts), and for a repository that stands for
 * another one of the parent now (`renames`). The parent is recorded last: if interrupted, it runs again.
 * @returns whether anything was forgotten
 */
export function changeParent(
  { metadata, locks, now }: ParentDeps,
  { parent, forget, repaired, renames = [] }: ParentRecord,
): Promise<boolean> {
  return locks.run('parent', async () => {
    const before = await metadata.parent();
    const [host, repair = '', renamesBefore = ''] = before?.split('#') ?? [];
    const isSame = host === parent;
    const isRepaired = isSame && repaired !== undefined && repaired !== repair;
    const renamesNow = renames.length > 0 ? JSON.stringify(renames) : '';
    if (isSame && !isRepaired && renamesNow === renamesBefore) return false;
    const resetsAll = isRepaired || (!isSame && forget && before !== undefined);
    const [namesBefore, names] = [renamesBefore, renamesNow].map(
      (text) => new RepositoryNames(text ? JSON.parse(text) : []),
    ) as [RepositoryNames, RepositoryNames];
    const isMoved = (name: string) =>
      forget && before !== undefined && names.above(name) !== namesBefore.above(name);
    let forgets = false;
    for await (const [repository] of metadata.repositories()) {
      if (!resetsAll && !isMoved(repository)) continue;
      forgets = true;
      await locks.run(`repository ${repository}`, () => resetRepository(metadata, repository, now));
    }
    await dropSending(metadata, (name) => resetsAll || isMoved(name));
    const repairNow = repaired ?? (isSame ? repair : '');
    const parts = [parent, repairNow, renamesNow];
    await metadata.write(put.parent(parts.join('#').replace(/(?<!#)#+$/, '')));
    return resetsAll || forgets;
  });
}

/** Of repositories too that are not here any more. */
async function dropSending(metadata: Metadata, isReset: (repository: string) => boolean): Promise<void> {
  const batches = new ChangeBatches(metadata);
  for await (const [key] of metadata.allSending()) {
    const [repository, tag] = key.split('!') as [string, string];
    if (isReset(repository)) await batches.add(drop.sending(repository, tag));
  }
  await batches.end();
}

async function resetRepository(metadata: Metadata, repository: string, now: () => number): Promise<void> {
  const batches = new ChangeBatches(metadata);
  // Unsent records first, then delete the records that prove a push: a crash in between loses none.
  for await (const [digest] of metadata.manifestsOfRepository(repository)) {
    if (await metadata.unsent(repository, digest)) continue;
    await batches.add(put.unsent(repository, digest, { since: metadata.instant(now()), found: true }));
  }
  for await (const [tag] of metadata.basesOfRepository(repository))
    await batches.add(drop.base(repository, tag));
  for await (const [digest] of metadata.withdrawnOfRepository(repository)) {
    await batches.add(drop.withdrawn(repository, digest));
  }
  for await (const [reference] of metadata.parkedOfRepository(repository)) {
    await batches.add(drop.parked(repository, reference));
  }
  for await (const [digest] of metadata.sessionsOfRepository(repository))
    await batches.add(drop.session(repository, digest));
  await batches.end();
}
