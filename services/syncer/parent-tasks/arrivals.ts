import type { Arriving, ImageContext } from '#proto/content/arriving.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';

/** Min size of a blob to prefetch, in bytes: for smaller ones the pass is soon enough. */
const MIN_BYTES = 256 * 1024;

/** A blob that the parent receives. `delta`: by which it may be pulled; `isBlob`: it may be pulled itself. */
export type Arrival = {
  repository: Repository;
  digest: Digest;
  size: number;
  part?: ImageContext;
  delta?: HeldDelta;
  isBlob: boolean;
};

/** Blobs of the answer that are large enough: those to which deltas arrive first, as they are here soonest. */
export function arrivalsIn({ blobs, deltas = [] }: Arriving): Arrival[] {
  const byDelta = deltas.map(({ repository, digest, size, part, delta }) => ({
    repository,
    digest: delta.to,
    size: delta.toSize,
    ...(part && { part }),
    delta: { ...delta, digest, size },
    isBlob: false,
  }));
  const themselves = blobs.map(({ attempt: _, ...blob }) => ({ ...blob, isBlob: true }));
  return [...byDelta, ...themselves].filter(({ size }) => size >= MIN_BYTES);
}

/** How to pull what is missing here. @param mayUse whether the bases are here, and it is worth it */
export function chooseDeltas(arrivals: readonly Arrival[], mayUse: (delta: HeldDelta) => boolean): Arrival[] {
  return arrivals.flatMap(({ delta, ...arrival }) => {
    if (delta && mayUse(delta)) return [{ ...arrival, delta }];
    return arrival.isBlob ? [arrival] : [];
  });
}
