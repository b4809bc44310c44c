import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '#proto/contract/fault.ts';
import { retryDelay } from './answers.ts';

/** Max attempts of a small request. After the last one, the pass continues without its answer. */
const MAX_ATTEMPTS = 3;

/** Max wait that a parent may request for a small request, in ms. A longer one is reported by the pass, and ends it. */
const MAX_WAIT_MS = 60_000;

/** Retries `ask` with backoff after a fault that may pass, up to `MAX_ATTEMPTS` in all. */
export async function withRetries<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask();
    } catch (error) {
      const wait = error instanceof Fault && attempt < MAX_ATTEMPTS ? retryDelay(error, attempt) : undefined;
      if (wait === undefined || wait > MAX_WAIT_MS) throw error;
      await sleep(wait, undefined, { signal });
    }
  }
}

/** Whether the error is a Fault of an answer with one of these statuses. */
export const isStatus = (error: unknown, ...statuses: number[]): boolean =>
  error instanceof Fault && statuses.includes(Number(error.detail?.status));
