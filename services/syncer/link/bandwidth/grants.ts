import type { Direction } from '#proto/sync/transfers.ts';
import type { Limit } from './limit.ts';
import { Turns } from './turns.ts';

/** What is saved up while nobody asks, as time at the limit. */
export const BURST_MS = 100;
/** Node's timers take no longer waits. */
const MAX_MS = 2 ** 31 - 1;

export type Clock = {
  now(): number;
  /** Calls once, later. @returns what prevents it */
  after(ms: number, call: () => void): () => void;
};

export const clock: Clock = {
  now: () => Date.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

type Asker = { bytes: number; grant: () => void; fail: (error: unknown) => void };

/**
 * Leave to use the link, so that what is granted never is more than the limit: in any time T, at most the limit times
 * (T + 0.1 s) and one question. A question is granted as soon as nothing is owed, and what it takes is owed from then
 * on; so with somebody always asking the average is the limit itself.
 *
 * The directions have turns, and in each the syncers that ask: a push does not wait for what many syncers download.
 */
export class Grants {
  readonly #clock: Clock;
  readonly #limit: (now: number) => Limit;
  readonly #turns = new Turns<Asker>();
  /** Bytes that may be granted; what is owed where it is below 0. */
  #level = 0;
  #counted: number;
  #unwait: (() => void) | undefined;

  /** @param limit is asked anew each time: it changes with the time of day and the configuration */
  constructor(limit: (now: number) => Limit, own: Clock = clock) {
    this.#limit = limit;
    this.#clock = own;
    this.#counted = own.now();
  }

  /** Resolves when so many bytes may go over the link. @throws the reason of `signal`, and what `end` was given */
  async take(direction: Direction, by: string, bytes: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const asker: Asker = { bytes, grant: resolve, fail: reject };
    this.#turns.add([direction, by], asker);
    const abort = () => {
      this.#turns.remove([direction, by], asker);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    this.#serve();
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** The limit may be another one now. What was saved or owed until now was counted by the old one. */
  changed(): void {
    this.#serve();
  }

  /** Nobody is granted anything any more. */
  end(error: unknown): void {
    this.#unwait?.();
    for (const { fail } of this.#turns.clear()) fail(error);
  }

  #serve(): void {
    this.#unwait?.();
    this.#unwait = undefined;
    const now = this.#clock.now();
    const { rate, until } = this.#count(now);
    while (!this.#turns.idle && (rate === undefined || this.#level >= 0)) this.#grant();
    if (this.#turns.idle || rate === undefined) return;
    const paid = Math.ceil((-this.#level / rate) * 1_000);
    const ms = Math.min(Math.max(1, Math.min(paid, until - now)), MAX_MS);
    this.#unwait = this.#clock.after(ms, () => this.#serve());
  }

  #grant(): void {
    const asker = this.#turns.next();
    this.#level -= asker?.bytes ?? 0;
    asker?.grant();
  }

  /** Adds what the time since the last count gave, limit by limit. @returns the one in force */
  #count(now: number): Limit {
    // A clock that was set back gives nothing.
    let at = Math.min(this.#counted, now);
    for (;;) {
      const limit = this.#limit(at);
      const end = Math.min(limit.until, now);
      if (limit.rate === undefined) this.#level = 0;
      else {
        const most = (limit.rate * BURST_MS) / 1_000;
        this.#level = Math.min(most, this.#level + (limit.rate * (end - at)) / 1_000);
      }
      at = end;
      if (limit.until > now) {
        this.#counted = now;
        return limit;
      }
    }
  }
}
