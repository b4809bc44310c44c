import { MAX_TIMER_MS } from '#proto/async/max-timer.ts';
import type { Limit } from '#proto/schedule/bandwidth-limit.ts';
import type { Direction } from '#proto/sync/transfers.ts';
import { Turns } from './turns.ts';

/** Max credit that is saved while nothing is requested, as time at the limit, in ms. */
export const BURST_MS = 100;

export type GrantClock = {
  now(): number;
  /** Calls `call` once, after `ms`. @returns a function that cancels it */
  after(ms: number, call: () => void): () => void;
};

export const clock: GrantClock = {
  now: () => Date.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

type Waiter = { bytes: number; grant: () => void; fail: (error: unknown) => void };

/**
 * A token bucket for the link. Grants never exceed the limit: in any time T, at most the limit times (T + 0.1 s) plus
 * one request. A request is granted as soon as the bucket has no debt, and its bytes become debt. Under constant
 * demand, the average is therefore the limit itself.
 *
 * Directions take turns, and within each the syncers that wait: a push does not wait for the downloads of many syncers.
 */
export class Grants {
  readonly #clock: GrantClock;
  readonly #limit: (now: number) => Limit;
  readonly #turns = new Turns<Waiter>();
  /** Credit in bytes; below 0, debt. */
  #level = 0;
  /** Until when time is credited, in ms. */
  #accruedAt: number;
  #cancelTimer: (() => void) | undefined;

  /** @param limit called each time: it changes with the time of day and the configuration */
  constructor(limit: (now: number) => Limit, timer: GrantClock = clock) {
    this.#limit = limit;
    this.#clock = timer;
    this.#accruedAt = timer.now();
  }

  /** Resolves when `bytes` may cross the link. @throws the reason of `signal`, or the error passed to `end` */
  async take(direction: Direction, by: string, bytes: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { bytes, grant: resolve, fail: reject };
    this.#turns.add([direction, by], waiter);
    const abort = () => {
      this.#turns.remove([direction, by], waiter);
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

  /**
   * To be called before and after the limit changes: the first call settles credit and debt by the old limit, the
   * second one serves by the new limit.
   */
  changed(): void {
    this.#serve();
  }

  /** Ends all waiting requests with `error`; none of them is granted any more. */
  end(error: unknown): void {
    this.#cancelTimer?.();
    for (const { fail } of this.#turns.clear()) fail(error);
  }

  #serve(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const now = this.#clock.now();
    const { rate, until } = this.#accrue(now);
    while (!this.#turns.idle && (rate === undefined || this.#level >= 0)) this.#grant();
    if (this.#turns.idle || rate === undefined) return;
    const paidMs = Math.ceil((-this.#level / rate) * 1_000);
    const ms = Math.min(Math.max(1, Math.min(paidMs, until - now)), MAX_TIMER_MS);
    this.#cancelTimer = this.#clock.after(ms, () => this.#serve());
  }

  #grant(): void {
    const waiter = this.#turns.next();
    this.#level -= waiter?.bytes ?? 0;
    waiter?.grant();
  }

  /** Credits the time since the last call, limit by limit. @returns the limit in force */
  #accrue(now: number): Limit {
    // A clock that was set back adds no credit.
    let at = Math.min(this.#accruedAt, now);
    for (;;) {
      const limit = this.#limit(at);
      const end = Math.min(limit.until, now);
      if (limit.rate === undefined) this.#level = 0;
      else {
        const max = (limit.rate * BURST_MS) / 1_000;
        this.#level = Math.min(max, this.#level + (limit.rate * (end - at)) / 1_000);
      }
      at = end;
      if (limit.until > now) {
        this.#accruedAt = now;
        return limit;
      }
    }
  }
}
