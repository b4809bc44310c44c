import type { RepositoryItem, TagItem } from '#proto/api/repositories.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { repositoryState, tagState } from '#proto/overview/sync-state.ts';
import type { RepositoryFigures, TagFigures } from '#proto/sync/behind.ts';
import { isConflictTag, originalTag } from '#proto/sync/conflict-tag.ts';
import type { SyncState } from '#proto/sync/sync-figure.ts';

/** Repositories and tags as the API shows them, from the figures of storage. Pure. */

/** `known`: the layer has compared itself with its parent, so that what does not differ is equal. */
export type Comparison = { hasParent: boolean; mode: Mode; known: boolean };

export function repositoryItem(
  figures: RepositoryFigures,
  { hasParent, known }: Omit<Comparison, 'mode'>,
): RepositoryItem {
  const { repository, covered, tags, conflicts, behind, ahead, uncompared } = figures;
  const state = asFarAsKnown(repositoryState(figures), known);
  return {
    repository,
    tags,
    selected: covered,
    ...(covered &&
      hasParent && { sync: { state, behind, ahead, ...(uncompared && { uncompared }), conflicts } }),
  };
}

/** @param isSelected a selection covers the repository */
export function tagItem(
  figures: TagFigures,
  isSelected: boolean,
  { hasParent, mode, known }: Comparison,
): TagItem {
  const covered = isSelected && hasParent;
  const { tag, digest, base, behind, parked } = figures;
  const isAgreed = digest !== undefined && digest === behind?.target;
  const state = asFarAsKnown(
    tagState(isAgreed ? { ...figures, base: digest } : figures, covered, mode),
    known,
  );
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

const asFarAsKnown = (state: SyncState, known: boolean): SyncState =>
  state === 'in-sync' && !known ? 'unknown' : state;
