/** Rate over a sliding window: the rate before a stall says nothing about the current one. */
export class Rate {
  static readonly #WINDOW_MS = 10_000;
  #points: { at: number; done: number }[] = [];

  /**
   * @param done bytes transferred until `now`
   * @returns bytes/s; undefined in the first 500 ms of the window, and without progress in it
   */
  at(done: number, now: number): number | undefined {
    this.#points.push({ at: now, done });
    while (this.#points.length > 2 && now - (this.#points[0]?.at ?? now) > Rate.#WINDOW_MS)
      this.#points.shift();
    const first = this.#points[0] as { at: number; done: number };
    const ms = now - first.at;
    if (ms < 500 || done <= first.done) return undefined;
    return ((done - first.done) / ms) * 1_000;
  }
}
