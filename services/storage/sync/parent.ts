import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { type Change, drop, type Metadata, put } from '../metadata/metadata.ts';

export type Met = { parent: string; forget: boolean; repaired?: string };

/** Changes in one batch, about. */
const BATCH = 1_000;

type ParentDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  now: () => number;
};

/**
 * Notes which parent passes are made with. Where it is another one and `forget` is said, what was agreed on with the
 * one before says nothing any more: no tag has a base, every manifest may be unsent, and nothing is to be withdrawn.
 * So it is where the same parent had its metadata repaired (`repaired`, see proto/sync/outgoing.ts).
 * The note comes last: cut off in the middle, it is done again.
 * @returns whether something was forgotten
 */
export function recordParent(
  { metadata, locks, now }: ParentDeps,
  { parent, forget, repaired }: Met,
): Promise<boolean> {
  return locks.run('parent', async () => {
    const before = await metadata.parent();
    const [host, repair = ''] = before?.split('#') ?? [];
    const isSame = host === parent;
    if (isSame && (repaired === undefined || repaired === repair)) return false;
    const forgets = isSame || (forget && before !== undefined);
    if (forgets) {
      for await (const [repository] of metadata.repositories()) {
        await locks.run(`repository ${repository}`, () => beginAnew(metadata, repository, now));
      }
    }
    await metadata.write(put.parent(repaired ? `${parent}#${repaired}` : parent));
    return forgets;
  });
}

async function beginAnew(metadata: Metadata, repository: string, now: () => number): Promise<void> {
  let batch: Change[] = [];
  const add = async (changes: Change[]) => {
    for (const change of changes) batch.push(change);
    if (batch.length < BATCH) return;
    await metadata.write(batch);
    batch = [];
  };
  // First what is to be told, then what says that it was: a crash between them forgets no push.
  for await (const [digest] of metadata.manifestsOf(repository)) {
    if (await metadata.unsent(repository, digest)) continue;
    await add(put.unsent(repository, digest, { since: metadata.instant(now()), found: true }));
  }
  for await (const [tag] of metadata.bases(repository)) await add(drop.base(repository, tag));
  for await (const [digest] of metadata.withdrawnOf(repository)) {
    await add(drop.withdrawn(repository, digest));
  }
  for await (const [reference] of metadata.parkedOf(repository)) {
    await add(drop.parked(repository, reference));
  }
  for await (const [digest] of metadata.sessionsOf(repository)) await add(drop.session(repository, digest));
  await metadata.write(batch);
}
