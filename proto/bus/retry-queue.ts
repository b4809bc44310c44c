import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../async/backoff.ts';

const RETRY = { firstMs: 400, maxMs: 10_000 };

/**
 * A queue in memory: sends items in the order in which they were added, and retries each until it is sent. Above the
 * limit the oldest items are dropped and counted, so that an unavailable bus can't exhaust the memory.
 * What has to survive the process has a record besides: see services/storage/history/event-outbox.ts.
 */
export class RetryQueue<T> {
  readonly #send: (item: T) => Promise<void>;
  readonly #dropped: (count: number, cause: unknown) => void;
  readonly #limit: number;
  readonly #parallel: number;
  #queue: T[] = [];
  #running: Promise<void> | undefined;
  readonly #closing = new AbortController();

  /**
   * @param dropped is called with the number of items dropped, and the cause
   * @param limit max queued items
   * @param parallel max items on their way at a time. They are sent in order, in one turn of the event loop. One that
   * fails is sent again once all of them have ended, so it may come after later ones.
   */
  constructor(
    send: (item: T) => Promise<void>,
    dropped: (count: number, cause: unknown) => void,
    limit = 5_000,
    parallel = 1,
  ) {
    this.#send = send;
    this.#dropped = dropped;
    this.#limit = limit;
    this.#parallel = parallel;
  }

  /** @param item not equal to one in the queue */
  add(item: T): void {
    if (this.#queue.length >= this.#limit) {
      const excess = this.#queue.splice(0, Math.ceil(this.#limit / 10));
      this.#dropped(excess.length, new Error('the event queue is full'));
    }
    this.#queue.push(item);
    this.#running ??= this.#drain();
  }

  /** Resolves when the queue is empty. A retry that waits is made at once; a failure from here on drops all of it. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #drain(): Promise<void> {
    let failures = 0;
    while (this.#queue.length > 0) {
      const items = this.#queue.slice(0, this.#parallel);
      const sent = await Promise.allSettled(items.map((item) => this.#send(item)));
      const done = new Set(items.filter((_, i) => sent[i]?.status === 'fulfilled'));
      // The oldest may have been dropped meanwhile.
      this.#queue = this.#queue.filter((item) => !done.has(item));
      const failed = sent.find((one) => one.status === 'rejected');
      if (!failed) {
        failures = 0;
        continue;
      }
      if (this.#closing.signal.aborted) {
        this.#dropped(this.#queue.length, failed.reason);
        this.#queue = [];
        break;
      }
      failures += 1;
      await pause(backoffMs(failures, RETRY), this.#closing.signal);
    }
    // In the same turn as the check of the queue: otherwise an item added in between would never be sent.
    this.#running = undefined;
  }
}

const pause = (ms: number, signal: AbortSignal) =>
  sleep(ms, undefined, { signal, ref: false }).catch(() => {});
