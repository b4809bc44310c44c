import { batches } from '#proto/async/batches.ts';
import { each } from '#proto/async/each.ts';
import { missingManifests } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { readManifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { listSubjects, type Mark } from '#proto/sync/marks.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import { passing } from '../../link/answers/answers.ts';
import type { AcrManifest, AcrMetadata } from '../../link/parent/acr-metadata.ts';
import type { Parent } from '../../link/parent/parent.ts';
import { bases, pages } from '../context/lists.ts';
import type { Told } from '../context/parent-changes.ts';

/** Copies of a registry in other regions come after a while: what is older than the mark by less is looked at again. */
export const OVERLAP_MS = 5 * 60_000;
const AT_ONCE = 8;
const PAGE = 500;

export type ToldDeps = {
  bus: FencedBus;
  acr: Pick<AcrMetadata, 'tags' | 'manifests'>;
  parent: Pick<Parent, 'tags' | 'resolve' | 'manifest'>;
  signal: AbortSignal;
};

/** What changed in one repository since `mark`: what costs is how much did. Without a mark, all that is there. */
export async function toldSince(
  deps: ToldDeps,
  repository: Repository,
  mark: Mark | undefined,
  now: Mark,
): Promise<Told> {
  const { bus, signal } = deps;
  const known = await bases(bus, repository, signal);
  if (!mark) return whole(deps, repository, known, await listed(deps, repository));
  const since = Date.parse(mark.updated) - OVERLAP_MS;
  const recent = new Map<Tag, Digest>();
  for await (const { tag, digest, updated } of deps.acr.tags(repository, true, signal)) {
    if (Date.parse(updated) < since) break;
    recent.set(tag, digest);
  }
  // What went is in no list by time: the numbers tell.
  const reconciles = new Set([...known.keys(), ...recent.keys()]).size === now.tags;
  const tags = reconciles ? recent : await compared(deps, repository, known, await listed(deps, repository));
  return { tags, around: await around(deps, repository, mark, now, since) };
}

/** The repository is there no more: what both had went, unless it can still be had. */
export async function toldGone(deps: ToldDeps, repository: Repository): Promise<Told> {
  const known = await bases(deps.bus, repository, deps.signal);
  return { tags: await compared(deps, repository, known, new Map()), around: new Set() };
}

/** Of a registry that does not tell this layer more: by lists and HEADs. */
export async function toldByLists(deps: ToldDeps, repository: Repository): Promise<Told> {
  const { bus, parent, signal } = deps;
  const known = await bases(bus, repository, signal);
  const names = await parent.tags(repository, signal);
  // One that the parent does not know may as well be an empty volume there.
  if (!names) return { tags: new Map(), around: new Set() };
  const there = new Map<Tag, Digest>();
  await each(names, AT_ONCE, async (tag) => {
    const digest = await parent.resolve(repository, tag, signal);
    if (digest) there.set(tag, digest);
  });
  return whole(deps, repository, known, there);
}

async function whole(
  deps: ToldDeps,
  repository: Repository,
  known: ReadonlyMap<Tag, Digest>,
  there: ReadonlyMap<Tag, Digest>,
): Promise<Told> {
  const tags = await compared(deps, repository, known, there);
  return { tags, around: new Set(there.values()) };
}

async function listed({ acr, signal }: ToldDeps, repository: Repository): Promise<Map<Tag, Digest>> {
  const found = new Map<Tag, Digest>();
  for await (const { tag, digest } of acr.tags(repository, false, signal)) found.set(tag, digest);
  return found;
}

/** A list may end early: what both had and it leaves out is asked for by name before it goes. */
async function compared(
  { parent, signal }: ToldDeps,
  repository: Repository,
  known: ReadonlyMap<Tag, Digest>,
  there: ReadonlyMap<Tag, Digest>,
): Promise<Map<Tag, Digest | null>> {
  const tags = new Map<Tag, Digest | null>(there);
  const absent = [...known.keys()].filter((tag) => !there.has(tag));
  await each(absent, AT_ONCE, async (tag) => {
    tags.set(tag, (await parent.resolve(repository, tag, signal)) ?? null);
  });
  return tags;
}

/** Manifests on which something hangs that came or went, as far as no tag tells it. */
async function around(
  deps: ToldDeps,
  repository: Repository,
  mark: Mark,
  now: Mark,
  since: number,
): Promise<Set<Digest>> {
  const { acr, signal } = deps;
  const found = new Set<Digest>();
  const fresh: AcrManifest[] = [];
  for await (const manifest of acr.manifests(repository, true, signal)) {
    if (Date.parse(manifest.updated) < since) break;
    fresh.push(manifest);
  }
  const untagged = fresh.filter(({ tagged }) => !tagged).map(({ digest }) => digest);
  await each(await missing(deps, repository, untagged), AT_ONCE, async (digest) => {
    const subject = await subjectOf(deps, repository, digest);
    if (subject) found.add(subject);
  });
  const came = fresh.filter(({ created }) => isLater(created, mark.updated)).length;
  if (mark.manifests + came === now.manifests) return found;
  const there = new Set<Digest>();
  for await (const { digest } of acr.manifests(repository, false, signal)) there.add(digest);
  const own = pages(
    (page) => deps.bus.call(listSubjects, { repository, ...page }, { signal }),
    ({ referrers }) => referrers,
    ({ subject, digest }) => `${subject}!${digest}`,
    PAGE,
  );
  for await (const { subject, digest } of own) if (!there.has(digest)) found.add(subject);
  return found;
}

async function missing({ bus, signal }: ToldDeps, repository: Repository, digests: Digest[]) {
  const found: Digest[] = [];
  for (const some of batches(digests, PAGE)) {
    const lacking = await bus.call(missingManifests, { repository, digests: some }, { signal });
    for (const digest of lacking.digests) found.push(digest);
  }
  return found;
}

async function subjectOf(
  { parent, signal }: ToldDeps,
  repository: Repository,
  digest: Digest,
): Promise<Digest | undefined> {
  try {
    const { bytes, mediaType } = await parent.manifest(repository, digest, signal);
    return readManifest(bytes, mediaType).subject?.digest;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Fault) || passing(error)) throw error;
    // It went meanwhile, or nothing can be done with it: as no tag names it, it is nobody's failure.
    return undefined;
  }
}

/** The registry writes parts of a second to the seventh digit. */
function isLater(one: string, other: string): boolean {
  const [a, b] = [Date.parse(one), Date.parse(other)];
  return a === b ? one.length === other.length && one > other : a > b;
}
