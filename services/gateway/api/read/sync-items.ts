import type { RepositoryItem, TagItem } from '#proto/api/repositories.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { repositoryState, tagState } from '#proto/overview/sync-state.ts';
import type { RepositoryFigures, TagFigures } from '#proto/sync/behind.ts';
import { isConflictTag, originalTag } from '#proto/sync/conflict-tag.ts';
import type { Ahead, SyncState } from '#proto/sync/sync-figure.ts';

/** Repositories and tags as the API shows them, from the figures of storage. Pure. */

/** `known`: the layer has compared itself with its parent, so that what does not differ is equal. */
export type Comparison = { mode: Mode; known: boolean };

const NOT_AHEAD: Ahead = { tags: 0, manifests: 0, deletions: 0, parked: 0 };

export function repositoryItem(figures: RepositoryFigures, { mode, known }: Comparison): RepositoryItem {
  const { repository, covered, tags, conflicts, behind } = figures;
  const ahead = mode === 'ReadWrite' ? figures.ahead : NOT_AHEAD;
  const state = asFarAsKnown(repositoryState(figures, mode), known);
  return {
    repository,
    tags,
    selected: covered,
    ...(covered && { sync: { state, behind, ahead, conflicts } }),
  };
}

/** @param covered a selection covers the repository */
export function tagItem(figures: TagFigures, covered: boolean, { mode, known }: Comparison): TagItem {
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
