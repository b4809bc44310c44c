import { Gauge } from './pace/gauge.ts';

/**
 * A right to use one connection. `rate`: of that connection so far, in bytes/s; undefined before its first measurement.
 * It holds as long as each slot keeps its connection, which is nearly always: the slot that was released last is taken
 * next, when only its connection is idle.
 */
export type Slot = Disposable & { rate: number | undefined };

/** A semaphore: at most `count` holders at a time, first in, first out. */
export class Slots {
  /** Measures the requests of the holders. */
  readonly gauge = new Gauge();
  #count: number;
  #used = 0;
  /** Rates of the free slots; the last one is taken next. */
  #free: (number | undefined)[] = [];
  /** Time in which all slots were taken, since `fullMs` was called last, in ms. */
  #full = 0;
  /** Until when `#full` is counted. */
  #countedAt = 0;
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number, now: () => number = () => performance.now()) {
    this.#count = count;
    this.#now = now;
    this.#countedAt = now();
  }

  get count(): number {
    return this.#count;
  }

  /** Share of the connections that nobody uses. */
  get freeShare(): number {
    return Math.max(0, 1 - this.#used / this.#count);
  }

  /** A lower count takes effect as slots are released. */
  resize(count: number): void {
    this.#countFull();
    this.#count = count;
    this.#free.splice(0, Math.max(0, this.#used + this.#free.length - count));
    this.#admit();
  }

  /** Waits for a free slot. It is released by disposing of the result. */
  async take(): Promise<Slot> {
    if (this.#used < this.#count) this.#use();
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let held = true;
    const slot: Slot = {
      rate: this.#free.pop(),
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#countFull();
        this.#used -= 1;
        if (this.#used + this.#free.length < this.#count) this.#free.push(slot.rate);
        this.#admit();
      },
    };
    return slot;
  }

  /** Time in which all slots were taken, since the last call, in ms. */
  fullMs(): number {
    this.#countFull();
    const full = this.#full;
    this.#full = 0;
    return full;
  }

  #admit(): void {
    while (this.#used < this.#count) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#use();
      next();
    }
  }

  #use(): void {
    this.#countFull();
    this.#used += 1;
  }

  #countFull(): void {
    const now = this.#now();
    if (this.#used >= this.#count) this.#full += now - this.#countedAt;
    this.#countedAt = now;
  }
}
