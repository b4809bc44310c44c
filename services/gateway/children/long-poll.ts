import type { FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { networkOf } from '../auth/throttle.ts';
import { Quota } from './quota.ts';

/** Requests of one account that rest at a time, at one route; without an account, those from one address. */
export const MAX_LONG_POLLS_EACH = 8;
/** At all routes together. */
export const MAX_LONG_POLLS = 2_000;
/** Whoever finds no place comes again after so long, in seconds, each after another time. */
const [RETRY_FROM_S, RETRY_TO_S] = [5, 15];

/** The place of one request: it has none before it takes it. */
export type LongPoll = Disposable & {
  /** @returns whether there is room for it to rest; the same again once there was */
  take(): boolean;
};

/** Bounds the requests that wait for something to tell. */
export class LongPolls {
  readonly #quota = new Quota(MAX_LONG_POLLS);

  of(request: FastifyRequest, route: string, maxEach = MAX_LONG_POLLS_EACH): LongPoll {
    const key = `${route} ${whose(request)}`;
    let place: Disposable | undefined;
    return {
      take: () => {
        const found = place ?? this.#quota.take(key, maxEach);
        if (typeof found === 'string') return false;
        place = found;
        return true;
      },
      [Symbol.dispose]: () => {
        place?.[Symbol.dispose]();
        place = undefined;
      },
    };
  }
}

export function tooManyLongPolls(random = Math.random()): Fault {
  const retryAfter = RETRY_FROM_S + Math.round(random * (RETRY_TO_S - RETRY_FROM_S));
  const message = `too many requests wait here already: end some, or try again in ${retryAfter} s`;
  return new Fault('too-many', message, { detail: { retryAfter } });
}

function whose({ caller, ip }: FastifyRequest): string {
  const name = caller?.identity?.name;
  return name ? `account ${name}` : `address ${networkOf(ip)}`;
}
