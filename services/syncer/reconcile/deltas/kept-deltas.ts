import type { BusCaller } from '#proto/bus/roles.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import { type HeldDelta, listDeltas, MAX_WANTED, type RefusedDelta } from '#proto/content/deltas.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest } from '#proto/oci/names.ts';

/** Deltas to missing blobs, by their targets, that an earlier transfer has brought here; and pairs without a delta. */
export type KeptDeltas = { kept: Map<Digest, HeldDelta>; refused: RefusedDelta[] };

export async function findKeptDeltas(bus: BusCaller, missing: readonly Descriptor[]): Promise<KeptDeltas> {
  const to = missing.map(({ digest }) => digest).slice(0, MAX_WANTED);
  const { deltas, refused } = await bus.call(listDeltas, { to });
  const bases = [...new Set(deltas.flatMap(({ from }) => from))];
  const lacking = new Set(bases.length > 0 ? (await bus.call(missingBlobs, { digests: bases })).digests : []);
  const usable = deltas.filter(
    (delta) => delta.from.every((base) => !lacking.has(base)) && !isRefused(refused, delta),
  );
  const kept = new Map<Digest, HeldDelta>();
  for (const { digest, size } of missing) {
    const found = usable.find((one) => one.to === digest && one.toSize === size);
    if (!found) continue;
    const { made: _made, used: _used, ...delta } = found;
    kept.set(digest, delta);
  }
  return { kept, refused };
}

export const isRefused = (refused: readonly RefusedDelta[], delta: HeldDelta): boolean =>
  refused.some(
    ({ to, from, format }) => to === delta.to && format === delta.format && from.join() === delta.from.join(),
  );
