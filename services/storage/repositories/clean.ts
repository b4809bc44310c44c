import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { manifestDeleted, tagDeleted } from '#proto/content/content-events.ts';
import type { EventOutbox } from '../history/announcements.ts';
import { type Change, drop, type Metadata } from '../metadata/metadata.ts';
import { isIndex } from './sparse.ts';

/** Changes in one batch, about. */
const BATCH = 1_000;

/** Writes as it goes, so that a large repository fits; what is to be told is told once it is true. */
class Batches {
  readonly #metadata: Metadata;
  #changes: Change[] = [];
  #tells: (() => void)[] = [];

  constructor(metadata: Metadata) {
    this.#metadata = metadata;
  }

  async add(changes: Change[], tell?: () => void): Promise<void> {
    for (const change of changes) this.#changes.push(change);
    if (tell) this.#tells.push(tell);
    if (this.#changes.length >= BATCH) await this.end();
  }

  async end(): Promise<void> {
    const [changes, tells] = [this.#changes, this.#tells];
    [this.#changes, this.#tells] = [[], []];
    await this.#metadata.write(changes);
    for (const tell of tells) tell();
  }
}

type CleanDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  announcements: EventOutbox;
};

/**
 * Takes out what came of a repository from the parent, under the repository's lock to the end: nobody builds on what
 * is about to go. Cut off in the middle, it goes on when it is asked for again.
 */
export function cleanRepository(
  { metadata, locks, announcements }: CleanDeps,
  repository: string,
): Promise<{ tags: number; manifests: number }> {
  return locks.run(`repository ${repository}`, async () => {
    const batches = new Batches(metadata);
    const gone = { tags: 0, manifests: 0 };
    const kept = new Set<string>();
    const bases = new Map<string, string>();
    for await (const [tag, digest] of metadata.bases(repository)) bases.set(tag, digest);
    for await (const [tag, from] of metadata.tags(repository)) {
      if (bases.get(tag) === from) {
        gone.tags += 1;
        bases.delete(tag);
        const told = announcements.of(tagDeleted, { repository, tag, from, arrived: true });
        const changes = [...drop.tag(repository, tag), ...drop.base(repository, tag)];
        await batches.add([...changes, ...told.changes], told.tell);
      } else kept.add(tag);
    }
    for (const tag of bases.keys()) await batches.add(drop.base(repository, tag));
    for await (const [digest] of metadata.withdrawnOf(repository)) {
      await batches.add(drop.withdrawn(repository, digest));
    }
    const own = await unsentByClients(metadata, repository);
    const all = kept.size === 0 && own.size === 0;
    for await (const [reference] of metadata.parkedOf(repository)) {
      if (!kept.has(reference) && !own.has(reference)) await batches.add(drop.parked(repository, reference));
    }
    // Indexes first: none is ever there without its children.
    for (const indexes of all ? [true, false] : []) {
      for await (const [digest, { mediaType, subject }] of metadata.manifestsOf(repository)) {
        if (isIndex(mediaType) !== indexes) continue;
        gone.manifests += 1;
        const referrer = subject === undefined ? [] : drop.referrer(repository, subject, digest);
        const changes = [...drop.manifest(repository, digest), ...drop.unsent(repository, digest)];
        const told = announcements.of(manifestDeleted, { repository, digest, arrived: true });
        await batches.add([...changes, ...referrer, ...told.changes], told.tell);
      }
    }
    if (all) {
      for await (const [key] of metadata.leftOutOf(repository)) {
        const [digest, index] = key.split('!') as [string, string];
        await batches.add(drop.leftOut(repository, digest, index));
      }
      for await (const [digest] of metadata.sessionsOf(repository)) {
        await batches.add(drop.session(repository, digest));
      }
    }
    await batches.end();
    return gone;
  });
}

/** Manifests that a client put and the parent was never told of: they stay, and with them what they may refer to. */
async function unsentByClients(metadata: Metadata, repository: string): Promise<Set<string>> {
  const digests = new Set<string>();
  for await (const [digest, { found }] of metadata.unsentOf(repository)) if (!found) digests.add(digest);
  return digests;
}
