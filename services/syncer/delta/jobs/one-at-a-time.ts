import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { unlessAborted } from '#proto/async/unless-aborted.ts';

/** A mutex in FIFO order whose waiters may give up. */
export class OneAtATime {
  readonly #lock = new KeyedLock();

  /** Waits for the turn. It is released by disposing of the result. @throws the reason of `signal` */
  async take(signal: AbortSignal): Promise<Disposable> {
    const begun = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    void this.#lock.run('', () => {
      begun.resolve();
      return released.promise;
    });
    try {
      await unlessAborted(signal, begun.promise);
    } catch (error) {
      released.resolve();
      throw error;
    }
    return { [Symbol.dispose]: released.resolve };
  }
}
