/** Default grace: how long content is protected after it was asked for, in ms. */
export const GRACE_MS = 60 * 60 * 1000;
/** Interval at which ended renewals are forgotten, in ms. */
const TIDY_MS = 1_000;

/**
 * Keys (digests of blobs, names of repositories) that garbage collection must not remove because a client asked for
 * them recently: a push that received "exists" relies on it. Held in memory only, and bounded. Whenever renewals may be
 * missing (after a start, with too many keys, after a longer grace was set), every key is protected for one grace.
 *
 * Collection and requests run concurrently. Each side writes before it reads, so one of them always sees the other:
 *
 *   collector   mark … check what names the key … remove, which does nothing if the mark was cleared
 *               watch … check what names any key … mark, which fails after a request … remove
 *   request     renew or hold, which clear the mark and wait for a removal in progress … check whether the key exists
 */
export class Grace {
  /** Time of the last renewal by key, in ms; oldest first. */
  readonly #renewedAt = new Map<string, number>();
  readonly #held = new Map<string, number>();
  readonly #marked = new Set<string>();
  /** Keys that were asked for since `watch`; undefined if there were more than the limit. */
  #watched: { keys: Set<string> | undefined } | undefined;
  readonly #removing = new Map<string, Promise<void>>();
  readonly #now: () => number;
  readonly #limit: number;
  #graceMs = GRACE_MS;
  /** Renewals up to this time may be missing, later ones are complete; in ms. */
  #incompleteUntil: number;
  #tidiedAt = 0;

  /**
   * @param now monotonic clock, in ms
   * @param limit max keys in memory
   */
  constructor(now: () => number, limit = 100_000) {
    this.#now = now;
    this.#limit = limit;
    this.#incompleteUntil = now();
  }

  set graceMs(ms: number) {
    if (ms > this.#graceMs) this.#incompleteUntil = this.#now();
    this.#graceMs = ms;
  }

  /** Call before checking whether a key exists: it cannot be removed between the check and the reply. */
  async renew(...keys: string[]): Promise<void> {
    this.#record(keys);
    await this.#awaitRemovals(keys);
  }

  /** Protects the keys until one grace after disposal. For work of any duration that builds on what it finds. */
  async hold(...keys: string[]): Promise<Disposable> {
    return this.holdAll(keys);
  }

  /** The same for a list of any length. */
  async holdAll(keys: string[]): Promise<Disposable> {
    for (const key of keys) this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    this.#record(keys);
    await this.#awaitRemovals(keys);
    return {
      [Symbol.dispose]: () => {
        for (const key of keys) {
          const others = (this.#held.get(key) ?? 1) - 1;
          if (others > 0) this.#held.set(key, others);
          else this.#held.delete(key);
        }
        this.#record(keys);
      },
    };
  }

  protects(key: string): boolean {
    return this.leftMs(key) > 0;
  }

  /** Time for which the key is protected if nobody asks for it again, in ms; infinite while it is held. */
  leftMs(key: string): number {
    if (this.#held.has(key)) return Number.POSITIVE_INFINITY;
    const since = Math.max(this.#incompleteUntil, this.#renewedAt.get(key) ?? Number.NEGATIVE_INFINITY);
    return Math.max(0, since + this.#graceMs - this.#now());
  }

  /**
   * Until disposal, keys that are asked for from now on cannot be marked, even after their grace: what names a key
   * may be checked before its mark. One at a time.
   */
  watch(): Disposable {
    this.#watched = { keys: new Set() };
    return {
      [Symbol.dispose]: () => {
        this.#watched = undefined;
      },
    };
  }

  /**
   * Call before checking what names the key, or while it is watched.
   * @param endsGrace only keys that are held are protected
   * @returns false if the key is protected, or was asked for while watched
   */
  mark(key: string, endsGrace = false): boolean {
    if (endsGrace ? this.#held.has(key) : this.protects(key)) return false;
    if (this.#watched && this.#watched.keys?.has(key) !== false) return false;
    this.#marked.add(key);
    return true;
  }

  /** Whether nobody has asked for the key since it was marked. */
  marked(key: string): boolean {
    return this.#marked.has(key);
  }

  unmark(key: string): void {
    this.#marked.delete(key);
  }

  /**
   * Runs `work`, which deletes what the keys name.
   * @returns false, without running `work`, if somebody has asked for one of the keys since its mark
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

  #record(keys: string[]): void {
    const now = this.#now();
    for (const key of keys) {
      this.#marked.delete(key);
      this.#watched?.keys?.add(key);
      // Delete before set: keeps the map in order of time.
      this.#renewedAt.delete(key);
      this.#renewedAt.set(key, now);
    }
    if (this.#watched?.keys && this.#watched.keys.size > this.#limit) this.#watched.keys = undefined;
    if (this.#renewedAt.size > this.#limit || now - this.#tidiedAt >= TIDY_MS) this.#tidy(now);
  }

  /** Forgets the renewals whose grace has ended, and the oldest ones above the limit. */
  #tidy(now: number): void {
    this.#tidiedAt = now;
    for (const [key, instant] of this.#renewedAt) {
      if (this.#renewedAt.size > this.#limit)
        this.#incompleteUntil = Math.max(this.#incompleteUntil, instant);
      else if (now < instant + this.#graceMs) break;
      this.#renewedAt.delete(key);
    }
  }

  async #awaitRemovals(keys: string[]): Promise<void> {
    for (const key of keys) await this.#removing.get(key);
  }
}
