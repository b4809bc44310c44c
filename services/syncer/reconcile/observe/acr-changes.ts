import { batches } from '#proto/async/batches.ts';
import { each } from '#proto/async/each.ts';
import { missingManifests } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import { listSubjects, type Mark } from '#proto/sync/marks.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import { isTransient } from '../../link/answers/answers.ts';
import type { AcrLister, AcrManifest } from '../../link/parent/acr-metadata.ts';
import type { ManifestSource } from '../../link/parent/parent-reader.ts';
import { listEntries, readBases } from '../context/lists.ts';
import type { RepositoryChanges } from '../context/parent-changes.ts';

/** Replicas in other regions lag: entries that are older than the mark by less than this are read again, in ms. */
export const OVERLAP_MS = 5 * 60_000;
/** Max requests to the registry in parallel. */
const MAX_PARALLEL = 8;
/** Max entries per request to storage. */
const PAGE = 500;

export type AcrChangesDeps = {
  bus: FencedBus;
  acr: AcrLister;
  parent: ManifestSource;
  signal: AbortSignal;
};

/**
 * Changes in one repository since `mark`; without a mark, its entire content. The number of requests depends on the
 * number of changes, not on the size of the repository, unless something was deleted.
 */
export async function readChangesSince(
  deps: AcrChangesDeps,
  repository: Repository,
  mark: Mark | undefined,
  now: Mark,
): Promise<RepositoryChanges> {
  const { bus, signal } = deps;
  const known = await readBases(bus, repository, signal);
  if (!mark) return readAll(deps, repository, known, await listTags(deps, repository));
  const since = Date.parse(mark.updated) - OVERLAP_MS;
  const recent = new Map<Tag, Digest>();
  for await (const { tag, digest, updated } of deps.acr.tags(repository, true, signal)) {
    if (Date.parse(updated) < since) break;
    recent.set(tag, digest);
  }
  // Deleted tags are in no list by time. The number of tags shows whether there are any.
  const isComplete = new Set([...known.keys(), ...recent.keys()]).size === now.tags;
  const tags = isComplete
    ? recent
    : await addDeleted(deps, repository, known, await listTags(deps, repository));
  return { tags, around: await findChangedSubjects(deps, repository, mark, now, since) };
}

/** Changes of a deleted repository: all tags with a base are deleted, unless they can still be resolved. */
export async function readDeletedChanges(
  deps: AcrChangesDeps,
  repository: Repository,
): Promise<RepositoryChanges> {
  const known = await readBases(deps.bus, repository, deps.signal);
  return { tags: await addDeleted(deps, repository, known, new Map()), around: new Set() };
}

async function readAll(
  deps: AcrChangesDeps,
  repository: Repository,
  known: ReadonlyMap<Tag, Digest>,
  listed: ReadonlyMap<Tag, Digest>,
): Promise<RepositoryChanges> {
  const tags = await addDeleted(deps, repository, known, listed);
  return { tags, around: new Set(listed.values()) };
}

async function listTags({ acr, signal }: AcrChangesDeps, repository: Repository): Promise<Map<Tag, Digest>> {
  const tags = new Map<Tag, Digest>();
  for await (const { tag, digest } of acr.tags(repository, false, signal)) tags.set(tag, digest);
  return tags;
}

/**
 * Adds deleted tags (`null`) to the listed ones. A list may end early, so a tag with a base that it lacks is resolved
 * by name before it counts as deleted.
 */
async function addDeleted(
  { parent, signal }: AcrChangesDeps,
  repository: Repository,
  known: ReadonlyMap<Tag, Digest>,
  listed: ReadonlyMap<Tag, Digest>,
): Promise<Map<Tag, Digest | null>> {
  const tags = new Map<Tag, Digest | null>(listed);
  const absent = [...known.keys()].filter((tag) => !listed.has(tag));
  await each(absent, MAX_PARALLEL, async (tag) => {
    tags.set(tag, (await parent.resolve(repository, tag, signal)) ?? null);
  });
  return tags;
}

/** Subjects of referrers that were added or deleted, as far as no tag of the referrer shows it. */
async function findChangedSubjects(
  deps: AcrChangesDeps,
  repository: Repository,
  mark: Mark,
  now: Mark,
  since: number,
): Promise<Set<Digest>> {
  const { acr, signal } = deps;
  const subjects = new Set<Digest>();
  const recent: AcrManifest[] = [];
  for await (const manifest of acr.manifests(repository, true, signal)) {
    if (Date.parse(manifest.updated) < since) break;
    recent.push(manifest);
  }
  const untagged = recent.filter(({ tagged }) => !tagged).map(({ digest }) => digest);
  await each(await findMissingHere(deps, repository, untagged), MAX_PARALLEL, async (digest) => {
    const subject = await readSubject(deps, repository, digest);
    if (subject) subjects.add(subject);
  });
  const added = recent.filter(({ created }) => isLater(created, mark.updated)).length;
  if (mark.manifests + added === now.manifests) return subjects;
  const listed = new Set<Digest>();
  for await (const { digest } of acr.manifests(repository, false, signal)) listed.add(digest);
  const localReferrers = listEntries(
    (page) => deps.bus.call(listSubjects, { repository, ...page }, { signal }),
    ({ referrers }) => referrers,
    ({ subject, digest }) => `${subject}!${digest}`,
    PAGE,
  );
  for await (const { subject, digest } of localReferrers) if (!listed.has(digest)) subjects.add(subject);
  return subjects;
}

async function findMissingHere({ bus, signal }: AcrChangesDeps, repository: Repository, digests: Digest[]) {
  const missing: Digest[] = [];
  for (const batch of batches(digests, PAGE)) {
    const lacking = await bus.call(missingManifests, { repository, digests: batch }, { signal });
    for (const digest of lacking.digests) missing.push(digest);
  }
  return missing;
}

async function readSubject(
  { parent, signal }: AcrChangesDeps,
  repository: Repository,
  digest: Digest,
): Promise<Digest | undefined> {
  try {
    const { bytes, mediaType } = await parent.manifest(repository, digest, signal);
    return readManifest(bytes, mediaType).subject?.digest;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Fault) || isTransient(error)) throw error;
    // Deleted meanwhile, or unreadable: no tag refers to it, so this is not a failure of the pass.
    return undefined;
  }
}

/** Times of the registry have up to seven fractional digits: within one millisecond, they are compared as text. */
function isLater(one: string, other: string): boolean {
  const [a, b] = [Date.parse(one), Date.parse(other)];
  return a === b ? one.length === other.length && one > other : a > b;
}
