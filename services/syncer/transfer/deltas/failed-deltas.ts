import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Digest } from '#proto/oci/names.ts';

/** Time for which a delta that failed is not tried again, in ms. */
const REST_MS = 10 * 60_000;
const MAX_DELTAS = 1_000;

/** Deltas in whose place the blobs themselves crossed the link lately. Of one process. */
export class FailedDeltas {
  /** By digest of the delta, when it may be tried again, by `performance.now`. */
  readonly #until = new BoundedMap<number>(MAX_DELTAS);

  add(delta: Digest): void {
    this.#until.set(delta, performance.now() + REST_MS);
  }

  has(delta: Digest): boolean {
    return (this.#until.get(delta) ?? 0) > performance.now();
  }
}
