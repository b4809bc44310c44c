/** A delta as the index has it. `used`: its last use, `stored`: the one in its record; in ms, by the age clock. */
export type IndexedDelta = { to: string; size: number; used: number; stored: number };

/** All deltas by their digests, in memory, in the order of their last use. Pure. */
export class DeltaIndex {
  /** The one that was not used for the longest time comes first. */
  readonly #deltas = new Map<string, IndexedDelta>();
  readonly #byTarget = new Map<string, Set<string>>();
  #bytes = 0;

  get count(): number {
    return this.#deltas.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(digest: string): IndexedDelta | undefined {
    return this.#deltas.get(digest);
  }

  /** Digests of the deltas to a blob, the one that was not used for the longest time first. */
  of(to: string): string[] {
    return [...(this.#byTarget.get(to) ?? [])];
  }

  /** All, the one that was not used for the longest time first. */
  *byUse(): Generator<[digest: string, delta: IndexedDelta]> {
    yield* this.#deltas;
  }

  /** Adds or replaces one: it is the last used. */
  set(digest: string, delta: IndexedDelta): void {
    this.delete(digest);
    this.#deltas.set(digest, delta);
    this.#bytes += delta.size;
    const digests = this.#byTarget.get(delta.to);
    if (digests) digests.add(digest);
    else this.#byTarget.set(delta.to, new Set([digest]));
  }

  delete(digest: string): void {
    const known = this.#deltas.get(digest);
    if (!known) return;
    this.#deltas.delete(digest);
    this.#bytes -= known.size;
    const digests = this.#byTarget.get(known.to);
    digests?.delete(digest);
    if (digests?.size === 0) this.#byTarget.delete(known.to);
  }
}
