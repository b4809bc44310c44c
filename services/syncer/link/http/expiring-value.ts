/** How long a peculiarity of the parent is remembered, in ms: it may have been upgraded by then. */
export const REMEMBER_MS = 6 * 60 * 60_000;

/** A value that is forgotten `REMEMBER_MS` after it was set last. */
export class ExpiringValue<T> {
  readonly #now: () => number;
  #value: T | undefined;
  #until = Number.NEGATIVE_INFINITY;

  /** @param now monotonic, in ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  get(): T | undefined {
    return this.#now() < this.#until ? this.#value : undefined;
  }

  /** `undefined` forgets the value. */
  set(value: T | undefined): void {
    this.#value = value;
    this.#until = this.#now() + REMEMBER_MS;
  }
}
