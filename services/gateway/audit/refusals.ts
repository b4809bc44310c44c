/**
 * How long refusals of the same kind are counted after the first one, in ms: a client that guesses passwords, or
 * repeats a request a thousand times, must neither fill the audit nor displace the entries of others.
 */
export const GATHER_MS = 60_000;
/** Max kinds counted separately; all others are counted together. */
export const MAX_KINDS = 20;

/** The first refusal of a kind, and the number of those after it. */
export type Gathered<T> = { first: T; count: number; since: number };

type Kind<T> = { first: T; count: number; since: number };

export class Refusals<T> {
  readonly #kinds = new Map<string, Kind<T>>();
  readonly #others: { first: T | undefined; count: number; since: number } = {
    first: undefined,
    count: 0,
    since: 0,
  };

  /** @returns whether to record it at once, as the first of its kind */
  add(kind: string, refusal: T, now: number): boolean {
    const known = this.#kinds.get(kind);
    if (known) {
      if (known.count === 0) known.since = now;
      known.count += 1;
      return false;
    }
    if (this.#kinds.size >= MAX_KINDS) {
      if (this.#others.count === 0) this.#others.since = now;
      this.#others.first ??= refusal;
      this.#others.count += 1;
      return false;
    }
    this.#kinds.set(kind, { first: refusal, count: 0, since: now });
    return true;
  }

  /**
   * The refusals since the last call; `others` is true for those not counted by kind. A kind without any is removed:
   * its next refusal is recorded at once.
   */
  take(): (Gathered<T> & { others: boolean })[] {
    const gathered: (Gathered<T> & { others: boolean })[] = [];
    for (const [kind, { first, count, since }] of this.#kinds) {
      if (count === 0) this.#kinds.delete(kind);
      else {
        gathered.push({ first, count, since, others: false });
        this.#kinds.set(kind, { first, count: 0, since });
      }
    }
    const { first, count, since } = this.#others;
    if (first !== undefined) gathered.push({ first, count, since, others: true });
    Object.assign(this.#others, { first: undefined, count: 0 });
    return gathered;
  }
}
