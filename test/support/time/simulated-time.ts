/**
 * Time that goes by when a test says so, a year in a moment: timers and `performance.now()` go by a clock of their own,
 * and what `Date.now()` says can be set, as on a machine. There is one at a time.
 */
export class SimulatedTime implements Disposable {
  /** Of timers, in ms. */
  elapsed = 0;
  #offset: number;
  #serial = 0;
  readonly #timers = new Map<number, { at: number; run: () => void }>();
  readonly #late: () => number;
  readonly #real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    now: Date.now,
    running: performance.now,
  };

  /** @param late how late a timer is, in ms; one that is -1 rings too early, as those of Node may */
  constructor(now: number, late: () => number) {
    this.#offset = now;
    this.#late = late;
    Date.now = () => this.now;
    performance.now = () => this.elapsed;
    globalThis.setTimeout = ((run: () => void, ms = 1) => {
      this.#serial += 1;
      const serial = this.#serial;
      this.#timers.set(serial, { at: this.elapsed + Math.max(1, ms + this.#late()), run });
      return { serial, unref: () => ({ serial }), [Symbol.toPrimitive]: () => serial };
    }) as unknown as typeof setTimeout;
    globalThis.clearTimeout = ((timer?: { serial: number }) => {
      if (timer) this.#timers.delete(timer.serial);
    }) as typeof clearTimeout;
  }

  get now(): number {
    return this.#offset + this.elapsed;
  }

  /** The clock is set, or the machine was asleep: timers hear nothing of it. */
  set(now: number): void {
    this.#offset = now - this.elapsed;
  }

  /** @param rung is told after each timer that rang; what it returns is waited for */
  async goOn(ms: number, rung: () => Promise<void> | undefined): Promise<void> {
    const end = this.elapsed + ms;
    for (;;) {
      let first = 0;
      let at = Number.POSITIVE_INFINITY;
      for (const [serial, timer] of this.#timers) {
        if (timer.at >= at) continue;
        at = timer.at;
        first = serial;
      }
      if (at > end) break;
      const timer = this.#timers.get(first);
      this.#timers.delete(first);
      this.elapsed = at;
      timer?.run();
      const busy = rung();
      if (busy) await busy;
    }
    this.elapsed = end;
  }

  [Symbol.dispose](): void {
    const { setTimeout, clearTimeout, now, running } = this.#real;
    Object.assign(globalThis, { setTimeout, clearTimeout });
    Date.now = now;
    performance.now = running;
  }
}
