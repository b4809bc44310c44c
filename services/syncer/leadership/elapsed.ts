/** Wall clock and monotonic clock, in ms. */
export type Clocks = { wall: () => number; monotonic: () => number };
export const CLOCKS: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() };

/** Time since construction, for leases on which others rely: it errs on the long side. */
export class Elapsed {
  readonly #clocks: Clocks;
  readonly #wall: number;
  readonly #monotonic: number;

  constructor(clocks = CLOCKS) {
    this.#clocks = clocks;
    this.#wall = clocks.wall();
    this.#monotonic = clocks.monotonic();
  }

  /** By the clock that advanced more: the wall clock may be set back, the monotonic one may stop during sleep. */
  get ms(): number {
    const { wall, monotonic } = this.#clocks;
    return Math.max(wall() - this.#wall, monotonic() - this.#monotonic);
  }
}
