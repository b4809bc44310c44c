import type { Ahead } from './sync-figure.ts';

/**
 * Number of changes made here that are to be pushed. A tag and its manifest are mostly one change, so the greater
 * number counts. Pure.
 */
export const changesToPush = ({ tags, manifests, deletions }: Ahead): number =>
  Math.max(tags, manifests + deletions);
