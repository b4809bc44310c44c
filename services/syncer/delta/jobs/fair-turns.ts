import { unlessAborted } from '#proto/async/unless-aborted.ts';

/**
 * A mutex with several queues, which have its turns alternately: who is first in one does not wait for all of another.
 * Waiters may give up.
 */
export class FairTurns {
  /** Waiters of each queue in FIFO order; the queue that had a turn last is the last one. */
  #queues = new Map<string, Set<() => void>>();
  #isTaken = false;

  /** Waits for the turn. It is released by disposing of the result. @throws the reason of `signal` */
  async take(queue: string, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#isTaken) await this.#next(queue, signal);
    else this.#begin(queue);
    let isReleased = false;
    return {
      [Symbol.dispose]: () => {
        if (!isReleased) this.#release();
        isReleased = true;
      },
    };
  }

  async #next(queue: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#queues.get(queue) ?? new Set();
    waiting.add(resolve);
    // One that has had no turn is the first one.
    if (!this.#queues.has(queue)) this.#queues = new Map([[queue, waiting], ...this.#queues]);
    try {
      await unlessAborted(signal, promise);
    } catch (error) {
      // The turn may be its own by now.
      if (!waiting.delete(resolve)) this.#release();
      throw error;
    }
  }

  #begin(queue: string): void {
    this.#isTaken = true;
    const waiting = this.#queues.get(queue) ?? new Set();
    this.#queues.delete(queue);
    this.#queues.set(queue, waiting);
  }

  #release(): void {
    this.#isTaken = false;
    for (const [queue, waiting] of this.#queues) {
      const [next] = waiting;
      if (!next) continue;
      waiting.delete(next);
      this.#begin(queue);
      next();
      return;
    }
  }
}
