import { deleteManifest } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { isOfParent } from '../context/leave-out.ts';
import { readLocalReferrers } from '../context/lists.ts';
import type { PassContext } from '../context/pass-context.ts';
import { readUnsent } from '../context/unsent-changes.ts';

/**
 * Referrers of a manifest that both the layer and the parent had. To be read before the parent's list: a referrer that
 * a client puts here later is in neither, and one that it put earlier is unsent until the parent has it.
 */
export async function readAgreedReferrers(
  { bus, signal }: PassContext,
  repository: Repository,
  subject: Digest,
): Promise<Digest[]> {
  const here = await readLocalReferrers(bus, repository, subject, signal);
  if (here.length === 0) return [];
  const unsent = await readUnsent(bus, repository, signal);
  return here.map(({ digest }) => digest).filter((digest) => !unsent.has(digest));
}

/**
 * Deletes the `agreed` referrers that the parent deleted: they are not in its list, and can't be resolved by digest. A
 * referrer to which a tag of the layer points is not deleted, nor is one about which the parent does not answer.
 * @returns number of deleted referrers
 */
export async function pruneReferrers(
  { bus, signal, parent }: PassContext,
  repository: Repository,
  subject: Digest,
  agreed: Digest[],
  tagged: ReadonlySet<Digest>,
): Promise<number> {
  if (agreed.length === 0) return 0;
  // A list that can't be read deletes nothing: the tree reports it.
  const list = await parent.referrers(repository, subject, signal).catch((error) => {
    signal.throwIfAborted();
    if (isOfParent(error)) return undefined;
    throw error;
  });
  if (!list) return 0;
  // What the parent says that it lacks was not deleted there.
  const existing = new Set([...list.manifests, ...list.leftOut].map(({ digest }) => digest));
  let dropped = 0;
  for (const digest of agreed) {
    if (existing.has(digest) || tagged.has(digest)) continue;
    const isThere = await parent.resolve(repository, digest, signal).then(Boolean, (error) => {
      signal.throwIfAborted();
      if (isOfParent(error)) return true;
      throw error;
    });
    if (isThere) continue;
    try {
      await bus.call(deleteManifest, { repository, digest, arrived: true });
      dropped += 1;
    } catch (error) {
      if (!Fault.is(error, 'manifest-unknown', 'name-unknown')) throw error;
    }
  }
  return dropped;
}
