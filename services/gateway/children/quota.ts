/** Bounds slots in use: for each key, such as an account or a child, and in total. */
export class Quota {
  readonly #max: number;
  readonly #held = new Map<string, number>();
  #total = 0;

  /** @param max for all keys together */
  constructor(max: number) {
    this.#max = max;
  }

  /** Takes a slot until it is disposed of; `each` or `all` names the bound that is reached. */
  take(key: string, maxEach: number): Disposable | 'each' | 'all' {
    const held = this.#held.get(key) ?? 0;
    if (held >= maxEach) return 'each';
    if (this.#total >= this.#max) return 'all';
    this.#held.set(key, held + 1);
    this.#total += 1;
    return { [Symbol.dispose]: () => this.#leave(key) };
  }

  #leave(key: string): void {
    this.#total -= 1;
    const held = (this.#held.get(key) ?? 1) - 1;
    if (held > 0) this.#held.set(key, held);
    else this.#held.delete(key);
  }
}
