import { MAX_NAMED_BLOBS } from '#proto/sync/passes.ts';

/** Order in which images, and the blobs of each, cross the link. Pure. */

export type PullOrder = { priority: number; repository: string; tag: string | null };

/** Higher priority first, then by name. */
export const byName = (a: PullOrder, b: PullOrder): number =>
  b.priority - a.priority || compare(a.repository, b.repository) || compare(a.tag ?? '', b.tag ?? '');

/** Within a priority, images that are partly here first: they are complete soonest. */
export const byPartlyHere = <P extends PullOrder & { isPartlyHere: boolean }>(a: P, b: P): number =>
  b.priority - a.priority || Number(b.isPartlyHere) - Number(a.isPartlyHere) || byName(a, b);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Smaller blobs first, so that usable content arrives early; equal sizes by digest. */
export const bySize = (a: { size: number; digest: string }, b: { size: number; digest: string }): number =>
  a.size - b.size || compare(a.digest, b.digest);

/** Digests of the largest blobs, for the event of their image. */
export const largestOf = (blobs: readonly { size: number; digest: string }[]): string[] =>
  blobs
    .toSorted((a, b) => bySize(b, a))
    .slice(0, MAX_NAMED_BLOBS)
    .map(({ digest }) => digest);
