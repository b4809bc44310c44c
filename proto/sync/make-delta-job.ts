import { type findDeltas, MIN_DELTA_TARGET_BYTES } from '../content/deltas.ts';
import type { Static } from '../contract/schema.ts';
import type { Digest } from '../oci/names.ts';
import { deltaCandidates, type ImageLayers } from './delta-candidates.ts';
import type { MakeJob } from './delta-jobs.ts';

/** A base has this share of the bytes of its target: four smaller ones would save too little. */
const MIN_BASE_SHARE = 1 / 128;
/** Max refused pairs of the candidates with one target: each attempt costs processor time. */
const MAX_REFUSED = 3;

export type FoundDeltas = Static<typeof findDeltas.reply>;

/**
 * The job that makes a delta to the target, for one who holds the images: of those bases that were not refused. Pure.
 * @param mayUse whether a base that is here may be used
 * @returns undefined if the target is too small, no base is left, or several attempts with the candidates were in vain
 */
export function makeJobFor(
  target: Pick<MakeJob, 'repository' | 'to' | 'toSize' | 'reason'>,
  images: ImageLayers,
  { bases, refused }: Pick<FoundDeltas, 'bases' | 'refused'>,
  mayUse: (digest: Digest) => boolean,
): MakeJob | undefined {
  const { to, toSize } = target;
  if (toSize < MIN_DELTA_TARGET_BYTES) return undefined;
  const minBytes = toSize * MIN_BASE_SHARE;
  const large = new Set(bases.filter(({ size }) => size >= minBytes).map(({ digest }) => digest));
  const candidates = deltaCandidates(to, images, (digest) => large.has(digest) && mayUse(digest));
  const tried = refused.filter(
    (pair) => pair.to === to && pair.from.some((digest) => candidates.includes(digest)),
  );
  const inVain = new Set(tried.flatMap(({ from }) => from));
  const left = candidates.filter((digest) => !inVain.has(digest));
  if (left.length === 0 || tried.length >= MAX_REFUSED) return undefined;
  return { kind: 'make', ...target, candidates: left };
}
