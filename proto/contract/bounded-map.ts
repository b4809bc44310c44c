/** A map of at most `maxEntries` values. The one that was not used for longest makes room for a new one. */
export class BoundedMap<V> {
  readonly #maxEntries: number;
  /** Least recently used first. */
  readonly #entries = new Map<string, V>();
  /** The last one in that order: its use changes nothing. */
  #newest: string | undefined;

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Does not count as use. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  get(key: string): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined && key !== this.#newest) this.set(key, value);
    return value;
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    this.#newest = key;
    if (this.#entries.size > this.#maxEntries)
      this.#entries.delete(this.#entries.keys().next().value as string);
  }

  /** @returns whether there was a value */
  delete(key: string): boolean {
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** A copy, least recently used first. Does not count as use. */
  entries(): [string, V][] {
    return [...this.#entries];
  }
}
