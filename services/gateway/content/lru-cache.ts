export type LruCacheOptions<V> = {
  /** How many values, and how much of them by `cost`, are kept. */
  entries: number;
  most?: number;
  cost?: (value: V) => number;
  /** For how long a value is believed at most, in ms. */
  lifetimeMs?: number;
  /**
   * Resolves when every change said before the call has been heard here; to false where that can't be told. Left out
   * where a change is always heard before anybody who counts on it can ask.
   */
  barrier?: () => Promise<boolean>;
};

type Settings<V> = Required<Omit<LruCacheOptions<V>, 'barrier'>> & {
  barrier: (() => Promise<boolean>) | undefined;
};
type Entry<V> = { value: V; cost: number; until: number };

/**
 * What somebody else knows, remembered: the least lately used goes first, and many who ask at once ask once. A reader
 * never gets a value that was forgotten before it asked: whoever finds one here, or on its way here, first waits until
 * all changes have been heard that were said before; a value on its way when its key is forgotten is given to those
 * who waited for it already, and is not kept. Failures are not remembered, nor is `undefined`.
 */
export class LruCache<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #coming = new Map<string, Promise<V>>();
  readonly #options: Settings<V>;
  #cost = 0;

  constructor(options: LruCacheOptions<V>) {
    this.#options = {
      most: Number.POSITIVE_INFINITY,
      cost: () => 0,
      lifetimeMs: Number.POSITIVE_INFINITY,
      barrier: undefined,
      ...options,
    };
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The sum of the costs. */
  get cost(): number {
    return this.#cost;
  }

  async get(key: string, ask: () => Promise<V>): Promise<V> {
    const { barrier } = this.#options;
    if ((this.#entries.has(key) || this.#coming.has(key)) && (!barrier || (await barrier()))) {
      const entry = this.#entries.get(key);
      if (entry && entry.until > performance.now()) {
        // Out and in again: the map stays in order of use.
        this.#entries.delete(key);
        this.#entries.set(key, entry);
        return entry.value;
      }
      const coming = this.#coming.get(key);
      if (coming) return coming;
    }
    return this.#fetch(key, ask);
  }

  forget(key: string): void {
    this.#drop(key);
    this.#coming.delete(key);
  }

  /** What is on its way is not kept either, whatever it is. */
  forgetWhere(is: (value: V) => boolean): void {
    for (const [key, { value }] of this.#entries) if (is(value)) this.#drop(key);
    this.#coming.clear();
  }

  forgetAll(): void {
    this.#entries.clear();
    this.#coming.clear();
    this.#cost = 0;
  }

  async #fetch(key: string, ask: () => Promise<V>): Promise<V> {
    const asked = ask();
    this.#coming.set(key, asked);
    try {
      const value = await asked;
      if (this.#coming.get(key) === asked) this.#keep(key, value);
      return value;
    } finally {
      if (this.#coming.get(key) === asked) this.#coming.delete(key);
    }
  }

  #keep(key: string, value: V): void {
    const { entries, most, lifetimeMs } = this.#options;
    const cost = this.#options.cost(value);
    this.#drop(key);
    if (value === undefined || cost > most) return;
    this.#entries.set(key, { value, cost, until: performance.now() + lifetimeMs });
    this.#cost += cost;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= entries && this.#cost <= most) break;
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
