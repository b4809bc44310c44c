import type { Digest } from '../oci/names.ts';
import { MAX_CANDIDATES } from './delta-jobs.ts';

/** What is known of an update: the layers of the new image, and those of the images that the receiver holds. */
export type ImageLayers = {
  layers: readonly Digest[];
  /** The most alike image first. */
  held: readonly (readonly Digest[])[];
};

/** Order of a layer of a held image: `[shared, rank, image, place]`, compared from left to right. */
type Order = readonly [shared: number, rank: number, image: number, place: number];

/**
 * Candidates for the bases of a delta to the layer `to`, the most alike first: the layer in its place in the first held
 * image, counted from the base and from the top, and those next to it; then those in its place in the other images;
 * then the rest. A layer that the new image still has comes after all others: its content is rarely in `to`, too, but
 * what moved between two layers is. Pure.
 * @param mayUse whether the layer can be a base: it is here, large enough, and the receiver may pull it
 */
export function deltaCandidates(
  to: Digest,
  { layers, held }: ImageLayers,
  mayUse: (digest: Digest) => boolean,
): Digest[] {
  const kept = new Set(layers);
  const index = layers.indexOf(to);
  const fromTop = layers.length - index;
  const orders = new Map<Digest, Order>();
  for (const [image, digests] of held.entries()) {
    for (const [place, digest] of digests.entries()) {
      if (digest === to || !mayUse(digest)) continue;
      const distance =
        index < 0 ? place : Math.min(Math.abs(place - index), Math.abs(digests.length - fromTop - place));
      const order = [Number(kept.has(digest)), rankOf(image, distance), image, place] as const;
      const known = orders.get(digest);
      if (!known || compare(order, known) < 0) orders.set(digest, order);
    }
  }
  const ordered = [...orders].toSorted(([, a], [, b]) => compare(a, b));
  return ordered.slice(0, MAX_CANDIDATES).map(([digest]) => digest);
}

/** The first image goes before the others in its place and next to it. */
function rankOf(image: number, distance: number): number {
  if (image === 0) return distance <= 1 ? distance : distance + 3;
  return distance <= 1 ? distance + 2 : distance + 4;
}

function compare(a: Order, b: Order): number {
  const at = a.findIndex((value, key) => value !== b[key]);
  return at < 0 ? 0 : (a[at] as number) - (b[at] as number);
}
