/** How long a blob that somebody was told of is kept, whether or not anything links it, in ms. */
export const GRACE_MS = 60 * 60 * 1000;

/**
 * Which blobs somebody was told of lately: a push that heard "it is here" counts on it. Held in memory only, and
 * bounded; where it forgot something (a start, too many entries) it protects everything until that has run out.
 */
export class Grace {
  readonly #until = new Map<string, number>();
  readonly #now: () => number;
  readonly #limit: number;
  #everythingUntil: number;

  constructor(now: () => number, limit = 100_000) {
    this.#now = now;
    this.#limit = limit;
    this.#everythingUntil = now() + GRACE_MS;
  }

  /** Ask for grace before looking whether the blob is there: then it can't go between the look and the answer. */
  renew(...digests: string[]): void {
    const until = this.#now() + GRACE_MS;
    for (const digest of digests) {
      // Out and in again: the map stays in order of time.
      this.#until.delete(digest);
      this.#until.set(digest, until);
    }
    for (const [digest, instant] of this.#until) {
      if (this.#until.size > this.#limit) this.#everythingUntil = Math.max(this.#everythingUntil, instant);
      else if (instant > this.#now()) break;
      this.#until.delete(digest);
    }
  }

  protects(digest: string): boolean {
    return this.#now() < Math.max(this.#everythingUntil, this.#until.get(digest) ?? 0);
  }
}
