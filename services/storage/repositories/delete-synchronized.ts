import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { manifestDeleted, tagDeleted } from '#proto/content/content-events.ts';
import type { EventOutbox } from '../history/event-outbox.ts';
import { ChangeBatches } from '../metadata/change-batches.ts';
import { drop, type Metadata } from '../metadata/metadata.ts';
import { onRepositoryEmptied } from './left-out-referrers.ts';
import { isIndex } from './sparse.ts';

type DeleteDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  outbox: EventOutbox;
};

/**
 * Deletes everything that a repository received from the parent. Holds the repository's lock throughout, so that nobody
 * builds on content that is about to be deleted. If interrupted, the next call continues.
 */
export function deleteSynchronized(
  { metadata, locks, outbox }: DeleteDeps,
  repository: string,
): Promise<{ tags: number; manifests: number }> {
  return locks.run(`repository ${repository}`, async () => {
    const batches = new ChangeBatches(metadata);
    const deleted = { tags: 0, manifests: 0 };
    const keptTags = new Set<string>();
    const bases = new Map<string, string>();
    for await (const [tag, digest] of metadata.basesOfRepository(repository)) bases.set(tag, digest);
    for await (const [tag, from] of metadata.tagsOfRepository(repository)) {
      if (bases.get(tag) === from) {
        deleted.tags += 1;
        bases.delete(tag);
        const prepared = outbox.prepare(tagDeleted, { repository, tag, from, arrived: true });
        const changes = [...drop.tag(repository, tag), ...drop.base(repository, tag)];
        await batches.add([...changes, ...prepared.changes], prepared.publish);
      } else keptTags.add(tag);
    }
    for (const tag of bases.keys()) await batches.add(drop.base(repository, tag));
    for await (const [tag] of metadata.sendingOfRepository(repository)) {
      await batches.add(drop.sending(repository, tag));
    }
    for await (const [digest] of metadata.withdrawnOfRepository(repository)) {
      await batches.add(drop.withdrawn(repository, digest));
    }
    const clientManifests = await unsentByClients(metadata, repository);
    const deletesAll = keptTags.size === 0 && clientManifests.size === 0;
    for await (const [reference] of metadata.parkedOfRepository(repository)) {
      if (!keptTags.has(reference) && !clientManifests.has(reference))
        await batches.add(drop.parked(repository, reference));
    }
    // Indexes first: an index never exists without its children.
    for (const indexes of deletesAll ? [true, false] : []) {
      for await (const [digest, { mediaType, subject }] of metadata.manifestsOfRepository(repository)) {
        if (isIndex(mediaType) !== indexes) continue;
        deleted.manifests += 1;
        const referrer = subject === undefined ? [] : drop.referrer(repository, subject, digest);
        const changes = [...drop.manifest(repository, digest), ...drop.unsent(repository, digest)];
        const prepared = outbox.prepare(manifestDeleted, { repository, digest, arrived: true });
        await batches.add([...changes, ...referrer, ...prepared.changes], prepared.publish);
      }
    }
    if (deletesAll) {
      await batches.add(await onRepositoryEmptied(metadata, repository));
      for await (const [key] of metadata.leftOutOfRepository(repository)) {
        const [digest, index] = key.split('!') as [string, string];
        await batches.add(drop.leftOut(repository, digest, index));
      }
      for await (const [digest] of metadata.sessionsOfRepository(repository)) {
        await batches.add(drop.session(repository, digest));
      }
    }
    await batches.end();
    return deleted;
  });
}

/** Manifests that a client put and that were not sent to the parent. They stay, with everything they may refer to. */
async function unsentByClients(metadata: Metadata, repository: string): Promise<Set<string>> {
  const digests = new Set<string>();
  for await (const [digest, { found }] of metadata.unsentOfRepository(repository))
    if (!found) digests.add(digest);
  return digests;
}
