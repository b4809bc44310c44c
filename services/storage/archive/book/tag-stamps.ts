import type { RepositoryPattern } from '#proto/oci/repository-pattern.ts';
import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import { stampTag, type TagRecord } from '#proto/sync/tag-versions.ts';
import { type Change, drop, put } from '../../metadata/metadata.ts';
import type { MetadataReader } from '../../metadata/metadata-reader.ts';
import type { VersionRecord } from '../../metadata/records.ts';

/**
 * Max deleted tags in a list. Those that a target never acknowledges, as over a one-way line, would stay for good:
 * beyond this number, the oldest are forgotten.
 */
const MAX_DELETED = 20_000;

/** Versions of the tags of selected repositories, by repository and tag. Both in bytewise order. */
export type TagStamps = Map<string, Map<string, TagRecord>>;

/**
 * The versions of all selected tags: one that was changed here since its record is stamped with the number of the next
 * set. `forgotten`: deletes the records of deleted tags that are not listed any more.
 * @param reader a snapshot, so that all of them are of one instant
 */
export async function stampedTags(
  reader: MetadataReader,
  peer: string,
  selection: readonly (typeof RepositoryPattern.static)[],
  number: number,
): Promise<{ stamps: TagStamps; forgotten: Change[] }> {
  const recorded = await recordedTags(reader, peer, selection);
  const stamps: TagStamps = new Map();
  const stamp = (repository: string, tag: string, digest: string | undefined) => {
    const before = recorded.get(repository)?.get(tag);
    const after = stampTag(before, digest, number);
    if (!after) return;
    const tags = stamps.get(repository) ?? new Map<string, TagRecord>();
    stamps.set(repository, tags.set(tag, after));
  };
  for await (const [key, digest] of reader.allTags()) {
    const [repository, tag] = key.split('!') as [string, string];
    if (!matchesPattern(selection, repository)) continue;
    stamp(repository, tag, digest);
    recorded.get(repository)?.delete(tag);
  }
  for (const [repository, tags] of recorded) for (const tag of tags.keys()) stamp(repository, tag, undefined);
  return { stamps: inOrder(stamps), forgotten: forgetOldest(peer, stamps) };
}

/** The changes that record a version; `undefined`: none. */
export function putVersion(
  peer: string,
  repository: string,
  tag: string,
  record: TagRecord | undefined,
): Change[] {
  if (!record) return drop.tagVersion(peer, repository, tag);
  const { digest, version } = record;
  const stored: VersionRecord = [digest ?? null, version.mine, version.theirs];
  return put.tagVersion(peer, repository, tag, stored);
}

/** Versions as they were recorded last. */
export async function recordedTags(
  reader: MetadataReader,
  peer: string,
  selection: readonly string[],
): Promise<TagStamps> {
  const recorded: TagStamps = new Map();
  for await (const [key, [digest, mine, theirs]] of reader.tagVersions(peer)) {
    const [repository, tag] = key.split('!') as [string, string];
    if (!matchesPattern(selection, repository)) continue;
    const tags = recorded.get(repository) ?? new Map<string, TagRecord>();
    recorded.set(repository, tags.set(tag, { digest: digest ?? undefined, version: { mine, theirs } }));
  }
  return recorded;
}

/** Removes deleted tags beyond the limit from the stamps. @returns what deletes their records */
function forgetOldest(peer: string, stamps: TagStamps, max = MAX_DELETED): Change[] {
  const deleted = [...stamps].flatMap(([repository, tags]) =>
    [...tags].flatMap(([tag, { digest, version }]) =>
      digest === undefined ? [{ repository, tag, number: version.mine }] : [],
    ),
  );
  if (deleted.length <= max) return [];
  deleted.sort((a, b) => b.number - a.number);
  return deleted.slice(max).flatMap(({ repository, tag }) => {
    stamps.get(repository)?.delete(tag);
    return drop.tagVersion(peer, repository, tag);
  });
}

function inOrder(stamps: TagStamps): TagStamps {
  const byKey = <V>(map: Map<string, V>) => new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
  return byKey(new Map([...stamps].map(([repository, tags]) => [repository, byKey(tags)])));
}
