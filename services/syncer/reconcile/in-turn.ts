/** Carries out what is given for one key one after another; what is given for different keys goes on side by side. */
export class InTurn {
  readonly #last = new Map<string, Promise<unknown>>();

  /** @throws what `what` throws; those behind it come all the same */
  async run<T>(key: string, what: () => Promise<T>): Promise<T> {
    const own = (this.#last.get(key) ?? Promise.resolve()).then(what);
    const over = own.catch(() => {});
    this.#last.set(key, over);
    try {
      return await own;
    } finally {
      if (this.#last.get(key) === over) this.#last.delete(key);
    }
  }
}
