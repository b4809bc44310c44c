import type { Bus } from '#proto/bus/bus.ts';

/** Max wait for an answer of the bus, in ms; a slower bus counts as unavailable. */
const PATIENCE_MS = 2_000;

/**
 * Waits until this process has received everything published on the bus before now. All calls within one turn of the
 * event loop share one flush, sent at the end of the turn, so that it follows every one of them.
 */
export class InvalidationBarrier {
  readonly #bus: Pick<Bus, 'flush'>;
  #next: Promise<boolean> | undefined;

  constructor(bus: Pick<Bus, 'flush'>) {
    this.#bus = bus;
  }

  /** @returns false if that cannot be determined */
  wait(): Promise<boolean> {
    this.#next ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#next = undefined;
        const timeout = setTimeout(() => resolve(false), PATIENCE_MS);
        const done = (received: boolean) => {
          clearTimeout(timeout);
          resolve(received);
        };
        this.#bus.flush().then(
          () => done(true),
          () => done(false),
        );
      });
    });
    return this.#next;
  }
}
