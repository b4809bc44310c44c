import type { FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { networkOf } from '../auth/throttle.ts';
import { Quota } from './quota.ts';

/** Max requests of one account that wait at one route; of one address, without an account. */
export const MAX_LONG_POLLS_EACH = 8;
/** Max waiting requests at all routes together. */
export const MAX_LONG_POLLS = 2_000;
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

export function tooManyLongPolls(random = Math.random()): Fault {
  const retryAfter = RETRY_FROM_S + Math.round(random * (RETRY_TO_S - RETRY_FROM_S));
  const message = `too many long polls are open: end some, or try again in ${retryAfter} s`;
  return new Fault('too-many', message, { detail: { retryAfter } });
}

function callerOf({ caller, ip }: FastifyRequest): string {
  const name = caller?.identity?.name;
  return name ? `account ${name}` : `address ${networkOf(ip)}`;
}
