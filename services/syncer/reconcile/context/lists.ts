import {
  type LeftOut,
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

/** What storage holds of one repository, all pages of it. */

const PAGE = 1_000;

type Ask<P> = (page: { limit: number; after?: string }) => Promise<P>;

/** All pages of a list. `after` is the name by which an entry is found again. */
export async function* pages<P extends { more: boolean }, E>(
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

/** A repository that storage never saw has none. */
export async function localTags(
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

export const bases = (
  bus: FencedBus,
  repository: Repository,
  signal: AbortSignal,
): Promise<Map<Tag, Digest>> => byTag((page) => bus.call(listBases, { repository, ...page }, { signal }));

/** Repositories in which a tag is not what parent and layer agreed on. */
export const differing = (bus: FencedBus, signal: AbortSignal): Promise<Repository[]> =>
  Array.fromAsync(
    pages(
      (page) => bus.call(listDiffering, page, { signal }),
      ({ repositories }) => repositories,
      (repository) => repository,
    ),
  );

async function byTag(
  ask: Ask<{ tags: { tag: Tag; digest: Digest }[]; more: boolean }>,
): Promise<Map<Tag, Digest>> {
  const all = new Map<Tag, Digest>();
  const entries = pages(
    ask,
    ({ tags }) => tags,
    ({ tag }) => tag,
  );
  for await (const { tag, digest } of entries) all.set(tag, digest);
  return all;
}

/** Referrers of a manifest that are in the repository here. */
export async function localReferrers(
  bus: FencedBus,
  repository: Repository,
  digest: Digest,
  signal: AbortSignal,
): Promise<Descriptor[]> {
  const entries = pages(
    (page) => bus.call(listReferrers, { repository, digest, ...page }, { signal }),
    ({ descriptors }) => descriptors,
    (descriptor) => descriptor.digest,
    200,
  );
  return Array.fromAsync(entries);
}

export type LeftOutChild = LeftOut & { index: Digest };

/** Children of the repository's sparse indexes that are not here. */
export const leftOutOf = (
  bus: FencedBus,
  repository: Repository,
  signal: AbortSignal,
): Promise<LeftOutChild[]> =>
  Array.fromAsync(
    pages(
      (page) => bus.call(listLeftOut, { repository, ...page }, { signal }),
      ({ leftOut }) => leftOut,
      ({ digest, index }) => `${digest}!${index}`,
    ),
  );
