import type { Limit } from './limit.ts';

/** What is saved up while nobody asks, as time at the limit. */
export const BURST_MS = 100;
/** Node's timers take no longer waits. */
const LONGEST_MS = 2 ** 31 - 1;

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
/** `served`: bytes that it was granted, and those that it let pass while it did not ask. */
type Queue = { askers: Asker[]; served: number };

/**
 * Leave to use the link, so that what is granted never is more than the limit: in any time T, at most the limit times
 * (T + 0.1 s) and one question. A question is granted as soon as nothing is owed, and what it takes is owed from then
 * on; so with somebody always asking the average is the limit itself.
 *
 * Those who ask have turns, by key: it is the turn of the one that was granted the fewest bytes while all of them asked.
 * Under one key, first come, first served.
 */
export class Grants {
  readonly #clock: Clock;
  readonly #limit: (now: number) => Limit;
  readonly #queues = new Map<string, Queue>();
  /** What the one that had the last turn was served before it. */
  #served = 0;
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
  async take(key: string, bytes: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const asker: Asker = { bytes, grant: resolve, fail: reject };
    this.#queue(key).askers.push(asker);
    const abort = () => {
      this.#leave(key, asker);
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
    const askers = [...this.#queues.values()].flatMap((queue) => queue.askers);
    this.#queues.clear();
    for (const { fail } of askers) fail(error);
  }

  #leave(key: string, asker: Asker): void {
    const queue = this.#queues.get(key);
    if (queue) queue.askers = queue.askers.filter((one) => one !== asker);
  }

  #queue(key: string): Queue {
    const known = this.#queues.get(key);
    if (known && known.askers.length > 0) return known;
    for (const [other, { askers, served }] of this.#queues) {
      if (askers.length === 0 && served <= this.#served) this.#queues.delete(other);
    }
    // Whoever comes again had its turns, or let them pass.
    const queue = { askers: [], served: Math.max(known?.served ?? 0, this.#served) };
    this.#queues.set(key, queue);
    return queue;
  }

  #asking(): Queue[] {
    return [...this.#queues.values()].filter(({ askers }) => askers.length > 0);
  }

  #serve(): void {
    this.#unwait?.();
    this.#unwait = undefined;
    const now = this.#clock.now();
    const { rate, until } = this.#count(now);
    let asking = this.#asking();
    for (; asking.length > 0 && (rate === undefined || this.#level >= 0); asking = this.#asking()) {
      this.#grant(asking);
    }
    if (asking.length === 0 || rate === undefined) return;
    const paid = Math.ceil((-this.#level / rate) * 1_000);
    const ms = Math.min(Math.max(1, Math.min(paid, until - now)), LONGEST_MS);
    this.#unwait = this.#clock.after(ms, () => this.#serve());
  }

  #grant(asking: Queue[]): void {
    const queue = asking.reduce((one, other) => (other.served < one.served ? other : one));
    const asker = queue.askers.shift() as Asker;
    this.#level -= asker.bytes;
    this.#served = queue.served;
    queue.served += asker.bytes;
    asker.grant();
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
