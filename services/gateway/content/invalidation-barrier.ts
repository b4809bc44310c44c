import type { Bus } from '#proto/bus/bus.ts';

/** How long the bus may take for a sign of life, in ms. One that takes longer is as good as away. */
const PATIENCE_MS = 2_000;

/**
 * Waits until this process has heard what was said on the bus before now. All who wait within one turn of the event
 * loop share one question to the bus, asked at the turn's end, so that it is asked after all of them came.
 */
export class InvalidationBarrier {
  readonly #bus: Pick<Bus, 'flush'>;
  #next: Promise<boolean> | undefined;

  constructor(bus: Pick<Bus, 'flush'>) {
    this.#bus = bus;
  }

  /** @returns false where that can't be told */
  wait(): Promise<boolean> {
    this.#next ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#next = undefined;
        const late = setTimeout(() => resolve(false), PATIENCE_MS);
        const done = (heard: boolean) => {
          clearTimeout(late);
          resolve(heard);
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
