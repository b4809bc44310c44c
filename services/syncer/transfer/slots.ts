import { Gauge } from './gauge.ts';

/** A semaphore: at most `count` holders at a time, first in, first out. */
export class Slots {
  /** Measures the requests of the holders. */
  readonly gauge = new Gauge();
  #count: number;
  #used = 0;
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

  /** A lower count takes effect as slots are released. */
  resize(count: number): void {
    this.#countFull();
    this.#count = count;
    this.#admit();
  }

  /** Waits for a free slot. It is released by disposing of the result. */
  async take(): Promise<Disposable> {
    if (this.#used < this.#count) this.#use();
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#countFull();
        this.#used -= 1;
        this.#admit();
      },
    };
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
