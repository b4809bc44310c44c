import type { Digest } from '#proto/oci/names.ts';
import type { ParentReader } from '../../link/parent/parent-registry.ts';
import { Oversized } from './oversized.ts';

const MAX_LEFT_OUT_BY_PARENT = 100_000;

/** What the passes of a term remember of each parent. All other state is determined again by each pass. */
export class PassCaches {
  readonly #leftOut = new WeakMap<ParentReader, Set<Digest>>();
  readonly #oversized = new WeakMap<ParentReader, Oversized>();

  /**
   * Children of indexes that the parent itself left out. Only a full pass, one after a referrer or child was added at
   * the parent, or the next coordinator asks for them again.
   */
  leftOutByParent(parent: ParentReader, restart: boolean): Set<Digest> {
    const leftOut = (!restart && this.#leftOut.get(parent)) || new Set<Digest>();
    this.#leftOut.set(parent, leftOut);
    if (leftOut.size > MAX_LEFT_OUT_BY_PARENT) leftOut.clear();
    return leftOut;
  }

  /** Images that exceed the limits of a layer. */
  oversized(parent: ParentReader, restart: boolean): Oversized {
    const oversized = (!restart && this.#oversized.get(parent)) || new Oversized();
    this.#oversized.set(parent, oversized);
    return oversized;
  }
}
