import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '#proto/contract/fault.ts';
import { retryDelay } from '../../link/answers/answers.ts';
import type { PassTools } from '../context/pass-context.ts';

/** `lostMs`: time from the first failure to the request that was answered: no blob could cross the link either. */
export type Answered<T> = { answer: T; lostMs: number };

/**
 * Asks the parent until it answers: a process of it that was killed is there again soon, and takes up what it was
 * doing.
 * @param busyMs max wait in all while the parent limits requests: blobs may cross the link meanwhile
 * @throws Fault as `ask`, if the parent can't be reached for some minutes or is busy for too long
 */
export async function untilAnswered<T>(
  { log, signal }: Pick<PassTools, 'log' | 'signal'>,
  busyMs: number,
  ask: () => Promise<T>,
): Promise<Answered<T>> {
  let failedAt: number | undefined;
  for (let attempt = 1; ; attempt += 1) {
    const begun = performance.now();
    try {
      return { answer: await ask(), lostMs: failedAt === undefined ? 0 : begun - failedAt };
    } catch (error) {
      signal.throwIfAborted();
      failedAt ??= performance.now();
      const ms = Fault.is(error, 'parent-unreachable', 'busy') ? retryDelay(error, attempt) : undefined;
      const isTooLate = Fault.is(error, 'busy') && performance.now() - failedAt + (ms ?? 0) > busyMs;
      if (ms === undefined || isTooLate) throw error;
      log.debug({ err: error, ms }, 'the parent does not answer a question about deltas; retrying');
      await sleep(ms, undefined, { signal });
    }
  }
}
