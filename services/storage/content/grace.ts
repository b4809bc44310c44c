/** How long what somebody was told of is kept until a configuration says otherwise, in ms. */
export const GRACE_MS = 60 * 60 * 1000;

/**
 * What garbage collection must leave alone: keys (digests of blobs, names of repositories) that somebody asked for
 * lately, because a push that heard "it is here" counts on it. Held in memory only, and bounded; where it forgot
 * something (a start, too many keys, a longer grace) it protects everything until one grace has run out.
 *
 * Collecting and asking may run at once. Each side speaks before it looks, so one of the two always sees the other:
 *
 *   the collector   mark … looks who names it … remove, which does nothing where the mark is gone
 *   whoever asks    renew or hold, which takes the mark away and waits for a removal under way … looks whether it is here
 */
export class Grace {
  /** In the order of time. */
  readonly #told = new Map<string, number>();
  readonly #held = new Map<string, number>();
  readonly #marked = new Set<string>();
  readonly #removing = new Map<string, Promise<void>>();
  readonly #now: () => number;
  readonly #limit: number;
  #graceMs = GRACE_MS;
  /** Nothing that was told later than this is forgotten. */
  #forgotUntil: number;

  /** @param now a clock in ms that nobody sets */
  constructor(now: () => number, limit = 100_000) {
    this.#now = now;
    this.#limit = limit;
    this.#forgotUntil = now();
  }

  set graceMs(ms: number) {
    if (ms > this.#graceMs) this.#forgotUntil = this.#now();
    this.#graceMs = ms;
  }

  /** Ask for grace before looking: then what is found can't go between the look and the answer. */
  async renew(...keys: string[]): Promise<void> {
    this.#tell(keys);
    await this.#unremoved(keys);
  }

  /** Grace from now on until a while after the end, however long it takes: for what builds on what it finds. */
  async hold(...keys: string[]): Promise<Disposable> {
    for (const key of keys) this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    this.#tell(keys);
    await this.#unremoved(keys);
    return {
      [Symbol.dispose]: () => {
        for (const key of keys) {
          const others = (this.#held.get(key) ?? 1) - 1;
          if (others > 0) this.#held.set(key, others);
          else this.#held.delete(key);
        }
        this.#tell(keys);
      },
    };
  }

  protects(key: string): boolean {
    const since = Math.max(this.#forgotUntil, this.#told.get(key) ?? Number.NEGATIVE_INFINITY);
    return this.#held.has(key) || this.#now() < since + this.#graceMs;
  }

  // ── the collector's side ────────────────────────────────────────────────────────────────────────────────────

  /** Before the look. @returns false for what is protected */
  mark(key: string): boolean {
    if (this.protects(key)) return false;
    this.#marked.add(key);
    return true;
  }

  /** Nobody has asked for it since it was marked. */
  marked(key: string): boolean {
    return this.#marked.has(key);
  }

  unmark(key: string): void {
    this.#marked.delete(key);
  }

  /**
   * Runs `work`, after which what the keys name is gone.
   * @returns false, and does nothing, where somebody asked for one of them since the mark
   */
  async remove(keys: string[], work: () => Promise<void>): Promise<boolean> {
    const marked = keys.every((key) => this.#marked.has(key));
    for (const key of keys) this.#marked.delete(key);
    if (!marked) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const key of keys) this.#removing.set(key, promise);
    try {
      await work();
      return true;
    } finally {
      for (const key of keys) this.#removing.delete(key);
      resolve();
    }
  }

  // ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────

  #tell(keys: string[]): void {
    const now = this.#now();
    for (const key of keys) {
      this.#marked.delete(key);
      // Out and in again: the map stays in order of time.
      this.#told.delete(key);
      this.#told.set(key, now);
    }
    for (const [key, instant] of this.#told) {
      if (this.#told.size > this.#limit) this.#forgotUntil = Math.max(this.#forgotUntil, instant);
      else if (now < instant + this.#graceMs) break;
      this.#told.delete(key);
    }
  }

  async #unremoved(keys: string[]): Promise<void> {
    for (const key of keys) await this.#removing.get(key);
  }
}
