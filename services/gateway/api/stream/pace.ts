/** Max events of a viewer in a second: a token bucket that holds those of one second. Pure. */
export class Pace {
  readonly #rate: number;
  #tokens: number;
  #at: number;

  /** @param rate events a second @param now on a clock in ms, as in `wait` */
  constructor(rate: number, now: number) {
    this.#rate = rate;
    this.#tokens = rate;
    this.#at = now;
  }

  /**
   * Whether this number of events may be sent now.
   * @returns how long to wait, in ms, until those of a whole second may be sent; 0 if `take` may be called now
   */
  wait(count: number, now: number): number {
    this.#tokens = Math.min(this.#rate, this.#tokens + ((now - this.#at) * this.#rate) / 1_000);
    this.#at = now;
    if (count <= this.#tokens) return 0;
    return Math.ceil(((this.#rate - this.#tokens) * 1_000) / this.#rate);
  }

  /** Takes the events that are sent now. @returns the newest, as many as may be */
  take<T>(events: readonly T[]): T[] {
    const taken = events.slice(-Math.max(1, Math.floor(this.#tokens)));
    this.#tokens -= taken.length;
    return taken;
  }
}
