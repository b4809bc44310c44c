/** Wall clock and monotonic clock, in ms. */
export type Clocks = { day: () => number; running: () => number };
const CLOCKS: Clocks = { day: () => Date.now(), running: () => performance.now() };

/** Time since construction, for leases on which others rely: it errs on the long side. */
export class Elapsed {
  readonly #clocks: Clocks;
  readonly #day: number;
  readonly #running: number;

  constructor(clocks = CLOCKS) {
    this.#clocks = clocks;
    this.#day = clocks.day();
    this.#running = clocks.running();
  }

  /** By the clock that advanced more: the wall clock may be set back, the monotonic one may stop during sleep. */
  get ms(): number {
    const { day, running } = this.#clocks;
    return Math.max(day() - this.#day, running() - this.#running);
  }
}
