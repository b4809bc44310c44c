/** Time over which a rate is measured, in seconds: short enough to show a stall, long enough not to jump. */
const WINDOW_S = 10;

/** Rate of the last seconds, counted by the second. */
export class RateMeter {
  readonly #now: () => number;
  /** Amount in each second of the window, and the second that each slot stands for. */
  readonly #amounts = new Float64Array(WINDOW_S + 1);
  readonly #seconds = new Float64Array(WINDOW_S + 1).fill(-1);

  /** @param now monotonic clock, in ms */
  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  add(amount: number): void {
    const second = Math.floor(this.#now() / 1_000);
    const slot = second % this.#amounts.length;
    if (this.#seconds[slot] !== second) this.#amounts[slot] = 0;
    this.#seconds[slot] = second;
    this.#amounts[slot] = (this.#amounts[slot] as number) + amount;
  }

  /** Per second, over the last full seconds and the current one. */
  get rate(): number {
    const seconds = this.#now() / 1_000;
    const first = Math.floor(seconds) - WINDOW_S + 1;
    const sum = this.#amounts.reduce(
      (total, amount, slot) => total + ((this.#seconds[slot] as number) >= first ? amount : 0),
      0,
    );
    return Math.round(sum / (seconds - first));
  }
}
