import { deleteManifest } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { Parent } from '../../link/parent/parent.ts';
import { localReferrers } from '../context/lists.ts';
import { unsentNow } from '../context/outgoing.ts';
import type { PassContext } from '../context/pass-context.ts';

/**
 * Referrers of a manifest that the layer has and that the parent had too. To be asked for before the parent's list:
 * what a client puts here later is in neither, and what it put earlier is unsent until the parent has it.
 */
export async function agreedReferrers(
  { bus, signal }: PassContext,
  repository: Repository,
  subject: Digest,
): Promise<Digest[]> {
  const here = await localReferrers(bus, repository, subject, signal);
  if (here.length === 0) return [];
  const unsent = await unsentNow(bus, repository, signal);
  return here.map(({ digest }) => digest).filter((digest) => !unsent.has(digest));
}

/**
 * Deletes those of `agreed` that went at the parent: they are in its list no more, nor can they be had by digest.
 * One that a tag of the layer points to stays as long as the tag.
 */
export async function pruneReferrers(
  { bus, signal, parent }: PassContext & { parent: Pick<Parent, 'referrers' | 'resolve'> },
  repository: Repository,
  subject: Digest,
  agreed: Digest[],
  tagged: ReadonlySet<Digest>,
): Promise<number> {
  if (agreed.length === 0) return 0;
  const listed = await parent.referrers(repository, subject, signal);
  if (!listed) return 0;
  const there = new Set(listed.map(({ digest }) => digest));
  let dropped = 0;
  for (const digest of agreed) {
    if (there.has(digest) || tagged.has(digest)) continue;
    if (await parent.resolve(repository, digest, signal)) continue;
    try {
      await bus.call(deleteManifest, { repository, digest, arrived: true });
      dropped += 1;
    } catch (error) {
      if (!Fault.is(error, 'manifest-unknown', 'name-unknown')) throw error;
    }
  }
  return dropped;
}
