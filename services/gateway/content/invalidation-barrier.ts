import type { RoundTrip } from '#proto/bus/roles.ts';

/** Max wait for an answer of the bus, in ms; a slower bus counts as unavailable. */
const PATIENCE_MS = 2_000;

/**
 * Waits until this process has received everything published on the bus before now. All calls within one turn of the
 * event loop share one flush, sent at the end of the turn, so that it follows every one of them.
 */
export class InvalidationBarrier {
  readonly #bus: RoundTrip;
  #next: Promise<boolean> | undefined;

  constructor(bus: RoundTrip) {
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
