/** In ms: that of the day, and one that nobody sets. */
export type Clocks = { day: () => number; running: () => number };
const CLOCKS: Clocks = { day: () => Date.now(), running: () => performance.now() };

/** How long ago something was, for a lease that others count on: rather too long than too short. */
export class Elapsed {
  readonly #clocks: Clocks;
  readonly #day: number;
  readonly #running: number;

  constructor(clocks = CLOCKS) {
    this.#clocks = clocks;
    this.#day = clocks.day();
    this.#running = clocks.running();
  }

  /** By the clock that went further: the one may be set back, the other stand still while the machine sleeps. */
  get ms(): number {
    const { day, running } = this.#clocks;
    return Math.max(day() - this.#day, running() - this.#running);
  }
}
