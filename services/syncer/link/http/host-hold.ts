import { type Backoff, backoffMs, requestedWaitMs } from '#proto/async/backoff.ts';
import { within } from '#proto/async/within.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { remainingIn, requestedHold, resetIn } from './rate-limit.ts';

/** Holds after a 429 that names no time, in ms. They grow over passes: a limit may count the pulls of six hours. */
export const HOLD = { firstMs: 15_000, maxMs: 30 * 60_000 };
/** The same if the answer names a time, in ms: it may name none at all again and again. */
const ASKED_HOLD = { firstMs: 500, maxMs: 60_000 };
/** Max hold that a parent may request, in ms. */
const MAX_HOLD_MS = 60 * 60_000;
/** A request waits for the end of a hold up to this long, in ms; else it fails. */
const MAX_WAIT_MS = 5_000;
/** Max wait for the answers to other requests after a hold, in ms. */
const MAX_TURN_MS = 20_000;
/** Without a 429 for this time after a hold, or for the length of that hold, the next one is as short as the first. */
const FORGET_MS = 5 * 60_000;
/** Max concurrent requests after a hold, doubled with each answer; beyond this number there is no limit. */
const MAX_SLOW_START = 16;

type Clock = { now: () => number; wall: () => number; random: () => number };
const CLOCK: Clock = { now: () => performance.now(), wall: () => Date.now(), random: Math.random };

export type HoldOptions = {
  host: string;
  /** For requests that change something. A 429 that asks them for a short wait is about one upload, not a limit. */
  isWrite?: boolean;
  log?: Pick<Log, 'warn'> | undefined;
  backoff?: Backoff;
  /** `now` is monotonic; `wall` is the time of day. */
  clock?: Clock;
};
type Headers = Record<string, string | string[] | undefined>;

/** One request that may be sent. Exactly one of its methods is called, once. */
export type Turn = {
  /** @returns how long the host is held from now on, in ms; 0 if it is not */
  answered(status: number, headers: Headers): number;
  failed(): void;
};

/**
 * Holds back the requests to one host that limits their rate: all of them, over passes, until the host may accept one
 * again. Then one request goes first; the others follow as answers arrive.
 */
export class HostHold {
  readonly #host: string;
  readonly #backoff: Backoff;
  readonly #isWrite: boolean;
  readonly #log: HoldOptions['log'];
  readonly #clock: Clock;
  #since = 0;
  #until = 0;
  /** Whether the host reports how many requests remain: one that always reports none limits nothing by it. */
  #countsDown = false;
  /** Holds in a row. */
  #times = 0;
  #active = 0;
  #maxActive = Number.POSITIVE_INFINITY;
  /** Resolves when an answer arrives. */
  #changed = Promise.withResolvers<void>();

  constructor({ host, isWrite = false, log, backoff = HOLD, clock = CLOCK }: HoldOptions) {
    this.#host = host;
    this.#isWrite = isWrite;
    this.#log = log;
    this.#backoff = backoff;
    this.#clock = clock;
  }

  /**
   * Waits until a request may be sent.
   * @param what names the request in the message
   * @throws Fault `busy` if the host is held for longer; the reason of `signal`
   */
  async enter(what: string, signal: AbortSignal): Promise<Turn> {
    const turnUntil = this.#clock.now() + MAX_TURN_MS;
    for (;;) {
      signal.throwIfAborted();
      const now = this.#clock.now();
      const leftMs = this.#until - now;
      if (leftMs > MAX_WAIT_MS) throw this.#busy(what, leftMs);
      if (leftMs > 0) await within(new Promise(() => {}), Math.ceil(leftMs), signal);
      else if (this.#active < this.#maxActive || now >= turnUntil) return this.#begin(now);
      else await within(this.#changed.promise, turnUntil - now, signal);
    }
  }

  #begin(startedAt: number): Turn {
    this.#active += 1;
    const end = () => {
      this.#active -= 1;
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    };
    return {
      answered: (status, headers) => {
        const now = this.#clock.now();
        if (status === 429) this.#hold(startedAt, requestedHold(headers, this.#clock.wall()));
        else {
          const remaining = remainingIn(headers);
          const resetMs = resetIn(headers, this.#clock.wall());
          if (remaining) this.#countsDown = true;
          if (remaining === 0 && this.#countsDown && resetMs !== undefined)
            this.#extend(requestedWaitMs(resetMs, this.#clock.random()));
          if (status < 500 && startedAt >= this.#until) this.#maxActive *= 2;
          if (this.#maxActive > MAX_SLOW_START) this.#maxActive = Number.POSITIVE_INFINITY;
        }
        end();
        return Math.max(0, this.#until - now);
      },
      failed: end,
    };
  }

  #hold(startedAt: number, askedMs: number | undefined): void {
    if (this.#isWrite && askedMs !== undefined && askedMs <= MAX_WAIT_MS) return;
    const now = this.#clock.now();
    // Requests that were in flight when the hold began count once.
    if (startedAt >= this.#until) {
      const isOver = now - this.#until > Math.max(FORGET_MS, this.#until - this.#since);
      this.#times = isOver ? 1 : this.#times + 1;
      this.#since = now;
    } else if (askedMs === undefined) return;
    const backoff = askedMs === undefined ? this.#backoff : ASKED_HOLD;
    const waitMs = requestedWaitMs(askedMs ?? 0, this.#clock.random());
    this.#extend(Math.max(waitMs, backoffMs(this.#times, backoff, this.#clock.random())));
  }

  #extend(ms: number): void {
    const now = this.#clock.now();
    const until = now + Math.min(MAX_HOLD_MS, ms);
    this.#maxActive = 1;
    if (until <= this.#until) return;
    this.#until = until;
    const fields = {
      host: this.#host,
      ms: Math.round(until - now),
      times: this.#times,
      at: this.#at(until - now),
    };
    this.#log?.warn(fields, 'the parent limits requests; holding them back');
  }

  #busy(what: string, leftMs: number): Fault {
    return new Fault('busy', `${what}: the parent limits requests until ${this.#at(leftMs)}`, {
      detail: { status: 429, retryAfterMs: Math.ceil(leftMs) },
    });
  }

  #at(leftMs: number): string {
    return new Date(this.#clock.wall() + leftMs).toISOString();
  }
}
