/**
 * Time that advances only by `goOn`, a year in a moment. Timers and `performance.now()` follow a monotonic clock;
 * `Date.now()` can be set, as on a machine. Only one instance may exist at a time.
 */
export class SimulatedTime implements Disposable {
  /** The monotonic clock, in ms. */
  elapsed = 0;
  #offset: number;
  #serial = 0;
  readonly #timers = new Map<number, { at: number; run: () => void }>();
  readonly #late: () => number;
  readonly #real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    now: Date.now,
    monotonicNow: performance.now,
  };

  /** @param late delay of each timer, in ms; at -1 it fires too early, as timers of Node may */
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

  /** Sets the wall clock, which also stands for a machine that slept. Timers are not affected. */
  setWallClock(now: number): void {
    this.#offset = now - this.elapsed;
  }

  /** Advances time and fires timers. @param fired is called after each timer; its result is awaited */
  async advance(ms: number, fired: () => Promise<void> | undefined): Promise<void> {
    const end = this.elapsed + ms;
    for (;;) {
      let next = 0;
      let at = Number.POSITIVE_INFINITY;
      for (const [serial, timer] of this.#timers) {
        if (timer.at >= at) continue;
        at = timer.at;
        next = serial;
      }
      if (at > end) break;
      const timer = this.#timers.get(next);
      this.#timers.delete(next);
      this.elapsed = at;
      timer?.run();
      const pending = fired();
      if (pending) await pending;
    }
    this.elapsed = end;
  }

  [Symbol.dispose](): void {
    const { setTimeout, clearTimeout, now, monotonicNow } = this.#real;
    Object.assign(globalThis, { setTimeout, clearTimeout });
    Date.now = now;
    performance.now = monotonicNow;
  }
}
