import type { Arriving, ImageContext } from '#proto/content/arriving.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';

/** Min size of a blob to prefetch, in bytes: for smaller ones the pass is soon enough. */
const MIN_BYTES = 256 * 1024;

/** A blob to pull, or the delta by which it is pulled. */
export type Pull = {
  repository: Repository;
  digest: Digest;
  size: number;
  part?: ImageContext;
  delta?: HeldDelta;
};

/** A blob that the parent receives. `deltas`: by which it may be pulled; `isBlob`: it may be pulled itself. */
export type Arrival = Omit<Pull, 'delta'> & { deltas: HeldDelta[]; isBlob: boolean };

/** Blobs of the answer that are large enough: those to which there are deltas first, as they are here soonest. */
export function arrivalsIn({ blobs, deltas = [] }: Arriving): Arrival[] {
  const arrivals = new Map<Digest, Arrival>();
  for (const { repository, digest, size, part, delta } of deltas) {
    const { to, toSize } = delta;
    // It would be a blob, and no delta.
    if (digest === to) continue;
    const own = { repository, digest: to, size: toSize, ...(part && { part }), deltas: [], isBlob: false };
    const arrival = arrivals.get(to) ?? own;
    arrival.deltas.push({ ...delta, digest, size });
    arrivals.set(to, arrival);
  }
  for (const { attempt: _, ...blob } of blobs) {
    const known = arrivals.get(blob.digest);
    if (known) known.isBlob = true;
    else arrivals.set(blob.digest, { ...blob, deltas: [], isBlob: true });
  }
  return [...arrivals.values()].filter(({ size }) => size >= MIN_BYTES);
}

/** `afterMs`: until then, a delta may come instead. */
export type ChosenPull = { pull: Pull; afterMs: number };

/**
 * How to pull what is missing here.
 * @param mayUse whether the bases are here, and it is worth it
 * @param holdMs how long the blob itself is not pulled, in ms; if for ever, it is left to the pass
 * @param isBegun whether a part of a delta to the blob may be here: it, too, is left to the pass
 */
export const choosePulls = (
  arrivals: readonly Arrival[],
  mayUse: (delta: HeldDelta) => boolean,
  holdMs: (arrival: Arrival) => number,
  isBegun: (target: Digest) => boolean,
): ChosenPull[] =>
  arrivals.flatMap((arrival) => {
    const { deltas, isBlob, ...blob } = arrival;
    const delta = deltas.find(mayUse);
    if (delta) return [{ pull: { ...blob, delta }, afterMs: 0 }];
    const afterMs = isBlob && !isBegun(blob.digest) ? holdMs(arrival) : Number.POSITIVE_INFINITY;
    return Number.isFinite(afterMs) ? [{ pull: blob, afterMs }] : [];
  });
