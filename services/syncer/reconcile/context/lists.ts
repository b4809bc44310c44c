import {
  type LeftOutManifest,
  listBases,
  listDiffering,
  listLeftOut,
  listReferrers,
  listTags,
} from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';

/** Lists of storage, read page by page. */

const PAGE = 1_000;

type Ask<P> = (page: { limit: number; after?: string }) => Promise<P>;

/**
 * Yields the entries of all pages of a list.
 * @param of entries of a page
 * @param name name of an entry, as `after` of the next page
 */
export async function* listEntries<P extends { more: boolean }, E>(
  ask: Ask<P>,
  of: (page: P) => E[],
  name: (entry: E) => string,
  limit = PAGE,
): AsyncGenerator<E> {
  for (let after: string | undefined; ; ) {
    const page = await ask({ limit, ...(after !== undefined && { after }) });
    const entries = of(page);
    yield* entries;
    const last = entries.at(-1);
    if (!page.more || last === undefined) return;
    after = name(last);
  }
}

/** The tags of a repository; none if storage does not know it. */
export async function readLocalTags(
  bus: FencedBus,
  repository: Repository,
  signal: AbortSignal,
): Promise<Map<Tag, Digest>> {
  try {
    return await byTag((page) => bus.call(listTags, { repository, ...page }, { signal }));
  } catch (error) {
    if (Fault.is(error, 'name-unknown')) return new Map();
    throw error;
  }
}

export const readBases = (
  bus: FencedBus,
  repository: Repository,
  signal: AbortSignal,
): Promise<Map<Tag, Digest>> => byTag((page) => bus.call(listBases, { repository, ...page }, { signal }));

/** Repositories with a tag that differs from its base. */
export const readDiffering = (bus: FencedBus, signal: AbortSignal): Promise<Repository[]> =>
  Array.fromAsync(
    listEntries(
      (page) => bus.call(listDiffering, page, { signal }),
      ({ repositories }) => repositories,
      (repository) => repository,
    ),
  );

async function byTag(
  ask: Ask<{ tags: { tag: Tag; digest: Digest }[]; more: boolean }>,
): Promise<Map<Tag, Digest>> {
  const all = new Map<Tag, Digest>();
  const entries = listEntries(
    ask,
    ({ tags }) => tags,
    ({ tag }) => tag,
  );
  for await (const { tag, digest } of entries) all.set(tag, digest);
  return all;
}

/** Referrers of a manifest in this layer's repository. */
export async function readLocalReferrers(
  bus: FencedBus,
  repository: Repository,
  digest: Digest,
  signal: AbortSignal,
): Promise<Descriptor[]> {
  const entries = listEntries(
    (page) => bus.call(listReferrers, { repository, digest, ...page }, { signal }),
    ({ descriptors }) => descriptors,
    (descriptor) => descriptor.digest,
    200,
  );
  return Array.fromAsync(entries);
}

export type LeftOutChild = LeftOutManifest & { index: Digest };

/** Children of sparse indexes of the repository that the layer does not hold. */
export const readLeftOutManifests = (
  bus: FencedBus,
  repository: Repository,
  signal: AbortSignal,
): Promise<LeftOutChild[]> =>
  Array.fromAsync(
    listEntries(
      (page) => bus.call(listLeftOut, { repository, ...page }, { signal }),
      ({ leftOut }) => leftOut,
      ({ digest, index }) => `${digest}!${index}`,
    ),
  );
