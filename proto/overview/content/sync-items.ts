import type { RepositoryItem, TagItem } from '../../api/repositories.ts';
import type { Mode } from '../../oci/mode.ts';
import type { RepositoryFigures, TagFigures } from '../../sync/behind.ts';
import { isConflictTag, originalTag } from '../../sync/conflict-tag.ts';
import type { SyncState } from '../../sync/sync-figure.ts';
import type { LayerStatus } from '../layer-status.ts';
import { repositoryState, tagState } from '../sync-state.ts';

/** Repositories and tags as the API and the command line show them, from the figures of storage. Pure. */

/** `known`: the layer has compared itself with its parent, so that what does not differ is equal. */
export type Comparison = { hasParent: boolean; mode: Mode; known: boolean };

/** @param fallback mode of a layer whose configuration can't be read */
export function comparisonOf(
  { configuration, sync }: Pick<LayerStatus, 'configuration' | 'sync'>,
  fallback: Mode = 'ReadWrite',
): Comparison {
  // What the figure of the layer does not claim, none of its repositories does, unless others are the cause.
  const known = sync?.asOf !== undefined && (sync.state !== 'unknown' || (sync.uncompared ?? 0) > 0);
  return { hasParent: configuration?.parent !== undefined, mode: configuration?.mode ?? fallback, known };
}

export function repositoryItem(
  figures: RepositoryFigures,
  { hasParent, known }: Omit<Comparison, 'mode'>,
): RepositoryItem {
  const { repository, covered, tags, conflicts, behind, ahead, uncompared, bytes, changed } = figures;
  const state = asFarAsKnown(repositoryState(figures), known);
  return {
    repository,
    tags,
    ...(bytes !== undefined && { bytes }),
    ...(changed !== undefined && { changed }),
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
  const { tag, digest, base, behind, parked, origin } = figures;
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
    ...(origin && { origin }),
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
