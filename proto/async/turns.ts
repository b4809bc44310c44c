import { Fault } from '../contract/fault.ts';

/** Runs a bounded number of tasks at a time. Others wait in order, for a bounded time. */
export class Turns {
  readonly #max: number;
  readonly #patienceMs: number;
  readonly #what: string;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  /** @param what of the message when no turn comes: `… are already being read` */
  constructor(max: number, patienceMs: number, what: string) {
    this.#max = max;
    this.#patienceMs = patienceMs;
    this.#what = what;
  }

  /** @throws Fault `too-many` if no turn comes in time */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.#max) this.#running += 1;
    else await this.#turn();
    try {
      return await task();
    } finally {
      // The turn is handed over, so that no later task takes it first.
      const [next] = this.#waiting;
      if (next) next();
      else this.#running -= 1;
    }
  }

  #turn(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const take = () => {
      clearTimeout(timer);
      this.#waiting.delete(take);
      resolve();
    };
    const timer = setTimeout(() => {
      this.#waiting.delete(take);
      reject(new Fault('too-many', `${this.#what}: retry later`));
    }, this.#patienceMs);
    this.#waiting.add(take);
    return promise;
  }
}
