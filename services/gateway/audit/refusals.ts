/**
 * Refusals of the same kind are told once, and then counted: whoever guesses passwords or asks a thousand times must
 * not fill the audit, or push out of it what others did.
 */
export const GATHER_MS = 60_000;
/** So many kinds are told apart at a time; all others are counted together. */
export const MAX_KINDS = 20;

/** The first of a kind, and how many came after it. */
export type Gathered<T> = { first: T; count: number; since: number };

type Kind<T> = { first: T; count: number; since: number };

export class Refusals<T> {
  readonly #kinds = new Map<string, Kind<T>>();
  readonly #others: { first: T | undefined; count: number; since: number } = {
    first: undefined,
    count: 0,
    since: 0,
  };

  /** @returns whether it is to be told at once, as the first of its kind */
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
   * What came since the last time; `others` is true for those of which no kind is told. A kind of which nothing came
   * is told at once again.
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
