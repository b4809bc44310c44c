import { Gauge } from './gauge.ts';

/** So many at a time, first come, first served. */
export class Slots {
  /** What goes through them. */
  readonly gauge = new Gauge();
  #count: number;
  #used = 0;
  #full = 0;
  #since = 0;
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number, now: () => number = () => performance.now()) {
    this.#count = count;
    this.#now = now;
    this.#since = now();
  }

  get count(): number {
    return this.#count;
  }

  /** Fewer take effect as slots are given back. */
  resize(count: number): void {
    this.#note();
    this.#count = count;
    this.#admit();
  }

  async take(): Promise<Disposable> {
    if (this.#used < this.#count) this.#use();
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#note();
        this.#used -= 1;
        this.#admit();
      },
    };
  }

  /** For how long all of them were taken since this was last asked, in ms. */
  fullMs(): number {
    this.#note();
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
    this.#note();
    this.#used += 1;
  }

  #note(): void {
    const now = this.#now();
    if (this.#used >= this.#count) this.#full += now - this.#since;
    this.#since = now;
  }
}
