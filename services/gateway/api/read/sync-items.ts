import type { RepositoryItem, TagItem } from '#proto/api/repositories.ts';
import type { RepositoryFigures, TagFigures } from '#proto/sync/behind.ts';
import { isConflictTag, originalTag } from '#proto/sync/conflict-tag.ts';
import type { SyncState } from '#proto/sync/sync-figure.ts';

/** Repositories and tags as the API shows them, from the figures of storage. Pure. */

/** @param known the layer has compared itself with its parent: otherwise, what does not differ may not be equal */
export function repositoryItem(
  { repository, covered, tags, conflicts, behind, ahead }: RepositoryFigures,
  known: boolean,
): RepositoryItem {
  const state = stateOf(behind.tags > 0, ahead.manifests + ahead.deletions + ahead.parked > 0, known);
  return {
    repository,
    tags,
    selected: covered,
    ...(covered && { sync: { state, behind, ahead, conflicts } }),
  };
}

/** @param place `covered`: a selection covers the repository */
export function tagItem(
  { tag, digest, base, behind, parked }: TagFigures,
  { covered, known }: { covered: boolean; known: boolean },
): TagItem {
  const state = stateOf(behind !== undefined, digest !== base && digest !== behind?.target, known);
  const parent = behind ? behind.target : base;
  const failure = parked ?? behind;
  return {
    tag,
    ...(digest !== undefined && { digest }),
    ...(base !== undefined && { base }),
    ...(covered && parent !== undefined && { parent }),
    ...(covered && { state }),
    ...(failure && { since: failure.since }),
    ...(behind?.bytes !== undefined && { bytes: behind.bytes }),
    ...(failure?.code !== undefined && { code: failure.code }),
    ...(failure?.reason !== undefined && { reason: failure.reason }),
    ...(parked && { parked: true }),
    ...(isConflictTag(tag) && { conflictOf: originalTag(tag) }),
  };
}

function stateOf(isBehind: boolean, isAhead: boolean, known: boolean): SyncState {
  if (isBehind) return isAhead ? 'diverged' : 'behind';
  if (isAhead) return 'ahead';
  return known ? 'in-sync' : 'unknown';
}
