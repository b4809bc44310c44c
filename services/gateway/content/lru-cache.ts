export type LruCacheOptions<V> = {
  /** Max values, and max sum of their `cost`. */
  maxEntries: number;
  maxCost?: number;
  cost?: (value: V) => number;
  /** Max age of a value, in ms. */
  lifetimeMs?: number;
  /**
   * Resolves when every change published before the call has been received here; to false if that cannot be determined.
   * Left out if a change is always received before anyone that relies on it can call.
   */
  barrier?: () => Promise<boolean>;
};

type Settings<V> = Required<Omit<LruCacheOptions<V>, 'barrier'>> & {
  barrier: (() => Promise<boolean>) | undefined;
};
type Entry<V> = { value: V; cost: number; until: number };

/**
 * Read-through LRU cache: concurrent calls for a key share one fetch. A reader never gets a value that was invalidated
 * before it called: on a hit, or while a fetch runs, it first waits until all changes published before have been
 * received. A value whose key is invalidated during its fetch is returned to those that already wait for it, and is not
 * stored. Neither are failures, nor `undefined`.
 */
export class LruCache<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #fetches = new Map<string, Promise<V>>();
  readonly #options: Settings<V>;
  /** The key that was used last: the map is in order of use already. */
  #newest: string | undefined;
  #cost = 0;

  constructor(options: LruCacheOptions<V>) {
    this.#options = {
      maxCost: Number.POSITIVE_INFINITY,
      cost: () => 0,
      lifetimeMs: Number.POSITIVE_INFINITY,
      barrier: undefined,
      ...options,
    };
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Sum of the costs. */
  get cost(): number {
    return this.#cost;
  }

  /** Returns synchronously on a hit, if there is no barrier. */
  get(key: string, fetch: () => Promise<V>): V | Promise<V> {
    const { barrier } = this.#options;
    if (!this.#entries.has(key) && !this.#fetches.has(key)) return this.#fetch(key, fetch);
    if (!barrier) return this.#current(key, fetch);
    return barrier().then((received) => (received ? this.#current(key, fetch) : this.#fetch(key, fetch)));
  }

  forget(key: string): void {
    this.#drop(key);
    this.#fetches.delete(key);
  }

  /** Values that are being fetched are unknown, so none of them is stored either. */
  forgetWhere(matches: (value: V) => boolean): void {
    for (const [key, { value }] of this.#entries) if (matches(value)) this.#drop(key);
    this.#fetches.clear();
  }

  forgetAll(): void {
    this.#entries.clear();
    this.#fetches.clear();
    this.#cost = 0;
  }

  #current(key: string, fetch: () => Promise<V>): V | Promise<V> {
    const entry = this.#entries.get(key);
    if (!entry || entry.until <= performance.now()) return this.#fetches.get(key) ?? this.#fetch(key, fetch);
    if (key !== this.#newest) {
      // Insert again: the map stays in order of use.
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      this.#newest = key;
    }
    return entry.value;
  }

  async #fetch(key: string, fetch: () => Promise<V>): Promise<V> {
    const fetching = fetch();
    this.#fetches.set(key, fetching);
    try {
      const value = await fetching;
      if (this.#fetches.get(key) === fetching) this.#store(key, value);
      return value;
    } finally {
      if (this.#fetches.get(key) === fetching) this.#fetches.delete(key);
    }
  }

  #store(key: string, value: V): void {
    const { maxEntries, maxCost, lifetimeMs } = this.#options;
    const cost = this.#options.cost(value);
    this.#drop(key);
    if (value === undefined || cost > maxCost) return;
    this.#entries.set(key, { value, cost, until: performance.now() + lifetimeMs });
    this.#newest = key;
    this.#cost += cost;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries && this.#cost <= maxCost) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#cost -= entry.cost;
  }
}
