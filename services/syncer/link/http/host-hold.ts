import { type Backoff, backoffMs, requestedWaitMs } from '#proto/async/backoff.ts';
import { within } from '#proto/async/within.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { remainingIn, requestedHold, resetIn } from './rate-limit.ts';

/** Holds after a 429 that names no time, in ms. They grow over passes: a limit may count the pulls of six hours. */
export const HOLD = { firstMs: 15_000, maxMs: 30 * 60_000 };
/** The same if the answer names a time, in ms: it may name none at all again and again. */
const ASKED_HOLD = { firstMs: 500, maxMs: 60_000 };
/** The same after `MIN_GOOD` good answers: the parent limits a rate rather than a number of requests. */
const RATE_HOLD = { firstMs: 2_000, maxMs: HOLD.maxMs };
const MIN_GOOD = 20;
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

/**
 * Limits that one kind of request has met. `times`: holds in a row, which grow by `backoff` unless the answer names a
 * time. `good`: answers since the last one. Registries limit kinds separately: that HEAD succeeds shows nothing about
 * GET.
 */
type Row = { times: number; good: number; since: number; until: number; backoff: Backoff };
/** Max kinds of requests with a row of their own. */
const MAX_KINDS = 50;

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
  #until = 0;
  /** Whether the host reports how many requests remain: one that always reports none limits nothing by it. */
  #countsDown = false;
  readonly #rows = new BoundedMap<Row>(MAX_KINDS);
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
   * @param kind of the request
   * @throws Fault `busy` if the host is held for longer; the reason of `signal`
   */
  async enter(what: string, signal: AbortSignal, kind = ''): Promise<Turn> {
    const turnUntil = this.#clock.now() + MAX_TURN_MS;
    for (;;) {
      signal.throwIfAborted();
      const now = this.#clock.now();
      const leftMs = this.#until - now;
      if (leftMs > MAX_WAIT_MS) throw this.#busy(what, leftMs);
      if (leftMs > 0) await within(new Promise(() => {}), Math.ceil(leftMs), signal);
      else if (this.#active < this.#maxActive || now >= turnUntil) return this.#begin(kind, now);
      else await within(this.#changed.promise, turnUntil - now, signal);
    }
  }

  #begin(kind: string, startedAt: number): Turn {
    this.#active += 1;
    const end = () => {
      this.#active -= 1;
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    };
    return {
      answered: (status, headers) => {
        const now = this.#clock.now();
        if (status === 429) this.#hold(kind, startedAt, requestedHold(headers, this.#clock.wall()));
        else {
          // Also that something is missing or refused: what limits requests did not limit this one.
          if (status < 500) this.#rowOf(kind).good += 1;
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

  #hold(kind: string, startedAt: number, askedMs: number | undefined): void {
    if (this.#isWrite && askedMs !== undefined && askedMs <= MAX_WAIT_MS) return;
    const row = this.#rowOf(kind);
    // Requests that were in flight when the hold began count once.
    if (startedAt >= this.#until) this.#count(row);
    else if (askedMs === undefined) return;
    const backoff = askedMs === undefined ? row.backoff : ASKED_HOLD;
    const waitMs = requestedWaitMs(askedMs ?? 0, this.#clock.random());
    this.#extend(Math.max(waitMs, backoffMs(row.times, backoff, this.#clock.random())), row.times);
    row.until = this.#until;
  }

  /** The next hold of a row, or the first of a new one. */
  #count(row: Row): void {
    const now = this.#clock.now();
    const isRate = row.good >= MIN_GOOD;
    const isOver = now - row.until > Math.max(FORGET_MS, row.until - row.since);
    if (isRate || isOver) {
      row.times = 0;
      row.backoff = isRate ? RATE_HOLD : this.#backoff;
    }
    row.times += 1;
    row.good = 0;
    row.since = now;
  }

  #rowOf(kind: string): Row {
    const known = this.#rows.get(kind);
    if (known) return known;
    const row: Row = { times: 0, good: 0, since: 0, until: 0, backoff: this.#backoff };
    this.#rows.set(kind, row);
    return row;
  }

  #extend(ms: number, times = 0): void {
    const now = this.#clock.now();
    const until = now + Math.min(MAX_HOLD_MS, ms);
    this.#maxActive = 1;
    if (until <= this.#until) return;
    this.#until = until;
    const fields = {
      host: this.#host,
      ms: Math.round(until - now),
      times,
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
