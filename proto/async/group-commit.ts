/**
 * Group commit: what is added while a run is in progress shares the next run. An item that is added while none is in
 * progress runs at once, so a single caller never waits for others.
 */
export class GroupCommit<T> {
  readonly #run: (items: T[]) => Promise<void>;
  readonly #maxItems: number;
  #waiting: { item: T; done: PromiseWithResolvers<void> }[] = [];
  #running = false;

  /**
   * @param run must not change `items` once it has returned; if it rejects, so does `add` of each of them
   * @param maxItems max items of one run
   */
  constructor(run: (items: T[]) => Promise<void>, maxItems = Number.POSITIVE_INFINITY) {
    this.#run = run;
    this.#maxItems = maxItems;
  }

  /** Resolves when a run that began after this call has ended. Runs are in the order of the calls. */
  add(item: T): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.#waiting.push({ item, done });
    if (!this.#running) void this.#drain();
    return done.promise;
  }

  async #drain(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, this.#maxItems);
      try {
        await this.#run(group.map(({ item }) => item));
        for (const { done } of group) done.resolve();
      } catch (error) {
        for (const { done } of group) done.reject(error);
      }
    }
    // In the same turn as the check of the list: otherwise an item added in between would never run.
    this.#running = false;
  }
}
