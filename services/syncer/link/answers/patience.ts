import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '#proto/contract/fault.ts';
import { backOff } from './answers.ts';

/** How often something small is asked for before the pass goes on without it. */
const ATTEMPTS = 3;

/** Asks again, a few times, after a fault that may pass. */
export async function patiently<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask();
    } catch (error) {
      const wait = error instanceof Fault && attempt < ATTEMPTS ? backOff(error, attempt) : undefined;
      if (wait === undefined) throw error;
      await sleep(wait, undefined, { signal });
    }
  }
}

export const isStatus = (error: unknown, ...statuses: number[]): boolean =>
  error instanceof Fault && statuses.includes(Number(error.detail?.status));
