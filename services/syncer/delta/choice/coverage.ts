import type { Sketch } from './sketch.ts';

/** What the content of bases contributes to that of a target, by their sketches. Pure. */

/** Share of its bytes that a file of the same path and another size is expected to contribute. */
const CHANGED_FILE = 0.6;

/** Share of the target that a further base must contribute: each one takes memory and time at the receiver. */
const MIN_GAIN = 0.04;
/** Share of the target that the first one must contribute. */
const MIN_SHARE = 0.01;
/** Share of the target from which on no further candidate is read. */
export const CLEAR_SHARE = 0.9;

/** Which share of the target comes from the bases that were added so far. */
export class Coverage {
  readonly #target: Sketch;
  readonly #covered = new Map<number, number>();

  constructor(target: Sketch) {
    this.#target = target;
  }

  /** 0 to 1: the share of the target that this base adds. */
  gain(base: Sketch): number {
    let total = 0;
    let gained = 0;
    for (const [key, size] of this.#target.parts) {
      // Of a sample, only parts count that would be in the sample of the base.
      if (key > base.below) continue;
      const before = this.#covered.get(key) ?? 0;
      total += size;
      gained += size * Math.max(0, contribution(this.#target, key, size, base) - before);
    }
    return total === 0 ? 0 : gained / total;
  }

  add(base: Sketch): void {
    for (const [key, size] of this.#target.parts) {
      this.#covered.set(
        key,
        Math.max(this.#covered.get(key) ?? 0, contribution(this.#target, key, size, base)),
      );
    }
  }
}

function contribution({ kind }: Sketch, key: number, size: number, base: Sketch): number {
  const other = base.kind === kind ? base.parts.get(key) : undefined;
  if (other === undefined) return 0;
  return other === size ? 1 : (CHANGED_FILE * Math.min(size, other)) / Math.max(size, other);
}

/**
 * Chooses greedily: each base adds the most of what the ones before lack.
 * @param candidates the most promising one first: of equal ones, it is chosen
 * @returns at most `max` indexes; none if no candidate is like the target
 */
export function chooseByCoverage(target: Sketch, candidates: readonly Sketch[], max: number): number[] {
  const coverage = new Coverage(target);
  const chosen: number[] = [];
  while (chosen.length < max) {
    let best: { index: number; gain: number } | undefined;
    for (const [index, candidate] of candidates.entries()) {
      if (chosen.includes(index)) continue;
      const gain = coverage.gain(candidate);
      if (gain > (best?.gain ?? 0)) best = { index, gain };
    }
    if (!best || best.gain < (chosen.length === 0 ? MIN_SHARE : MIN_GAIN)) break;
    chosen.push(best.index);
    coverage.add(candidates[best.index] as Sketch);
  }
  return chosen;
}
