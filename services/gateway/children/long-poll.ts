import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_WAIT_S } from '#proto/sync/changes.ts';
import { networkOf } from '../auth/throttle.ts';
import { parameter } from '../http/parameters.ts';
import { Quota } from './quota.ts';

/** Max requests of one account that wait at one route; of one address, without an account. */
export const MAX_LONG_POLLS_EACH = 8;
/** Max waiting requests at all routes together. */
export const MAX_LONG_POLLS = 2_000;
/** Interval between checks without a wake-up, in ms: an event may have been missed. */
const POLL_MS = 20_000;
/** Range of the random time after which a refused request may retry, in seconds. */
const [RETRY_FROM_S, RETRY_TO_S] = [5, 15];

/** The slot of one request: none until it takes one. */
export type LongPoll = Disposable & {
  /** @returns whether the request may wait; true for every call after it got a slot */
  take(): boolean;
};

/** Bounds the requests that wait for changes. */
export class LongPolls {
  readonly #quota = new Quota(MAX_LONG_POLLS);

  slotFor(request: FastifyRequest, route: string, maxEach = MAX_LONG_POLLS_EACH): LongPoll {
    const key = `${route} ${callerOf(request)}`;
    let slot: Disposable | undefined;
    return {
      take: () => {
        const taken = slot ?? this.#quota.take(key, maxEach);
        if (typeof taken === 'string') return false;
        slot = taken;
        return true;
      },
      [Symbol.dispose]: () => {
        slot?.[Symbol.dispose]();
        slot = undefined;
      },
    };
  }
}

/** One check of what a long poll waits for. */
export type PollStep<T> = {
  /** What to send if the poll ends now. */
  answer: T;
  /** Whether there is something to send before the time is over. */
  isReady: boolean;
  /** Check again at once: there is more to read. */
  more?: boolean;
};

/** The long polls of one route: woken by events, and when the server closes. */
export class Waiters {
  readonly #app: FastifyInstance;
  readonly #waiting = new Map<() => void, FastifyRequest>();

  constructor(app: FastifyInstance) {
    this.#app = app;
    app.addHook('preClose', async () => this.wakeAll());
  }

  readonly wakeAll = (): void => {
    for (const wake of this.#waiting.keys()) wake();
  };

  /** Wakes the long polls of these requests. */
  wakeWhere(isConcerned: (request: FastifyRequest) => boolean): void {
    for (const [wake, request] of this.#waiting) if (isConcerned(request)) wake();
  }

  /** Whether to answer a request: at `end`, by `performance.now()`, or as its connection or the server closes. */
  isOver(request: FastifyRequest, end: number): boolean {
    return performance.now() >= end || this.#isClosed(request);
  }

  /**
   * Calls `check` at once, after each wake-up and every `POLL_MS`, until it is ready or the poll is over. A request
   * takes its slot before its first wait.
   * @param end by `performance.now()`
   * @returns the answer of the last check
   * @throws Fault `too-many` if the request would have to wait and there is no slot for it; what `check` throws
   */
  async pollUntil<T>(
    request: FastifyRequest,
    { end, slot }: { end: number; slot: LongPoll },
    check: () => Promise<PollStep<T>>,
  ): Promise<T> {
    for (;;) {
      // Registered before the check, so that a change during it is not missed.
      const { promise: changed, resolve: wake } = Promise.withResolvers<void>();
      this.#waiting.set(wake, request);
      try {
        const { answer, isReady, more = false } = await check();
        const leftMs = end - performance.now();
        if (isReady || (leftMs <= 0 && !more) || this.#isClosed(request)) return answer;
        if (more) continue;
        if (!slot.take()) throw tooManyLongPolls();
        await waitFor(changed, Math.min(leftMs, POLL_MS), request);
      } finally {
        this.#waiting.delete(wake);
      }
    }
  }

  #isClosed({ raw }: FastifyRequest): boolean {
    return raw.socket.destroyed || !this.#app.server.listening;
  }
}

/** The time to wait, in seconds. @throws Fault `malformed` */
export function waitOf(request: FastifyRequest): number {
  const wait = parameter(request, 'wait') ?? '0';
  if (/^\d{1,3}$/.test(wait) && Number(wait) <= MAX_WAIT_S) return Number(wait);
  throw new Fault(
    'malformed',
    `wait is ${JSON.stringify(wait.slice(0, 40))}: write seconds, ${MAX_WAIT_S} at most`,
  );
}

/** Waits for `changed`, for `ms`, or for the end of the connection. */
async function waitFor(changed: Promise<void>, ms: number, { raw }: FastifyRequest): Promise<void> {
  const { promise: timedOut, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  raw.socket.once('close', resolve);
  try {
    await Promise.race([changed, timedOut]);
  } finally {
    clearTimeout(timer);
    raw.socket.off('close', resolve);
  }
}

export function tooManyLongPolls(random = Math.random()): Fault {
  const retryAfter = RETRY_FROM_S + Math.round(random * (RETRY_TO_S - RETRY_FROM_S));
  const message = `too many long polls are open: end some, or try again in ${retryAfter} s`;
  return new Fault('too-many', message, { detail: { retryAfter } });
}

function callerOf({ caller, ip }: FastifyRequest): string {
  const name = caller?.identity?.name;
  return name ? `account ${name}` : `address ${networkOf(ip)}`;
}
