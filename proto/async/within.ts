import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits for work for at most `ms`; the work then continues.
 * @returns undefined if the work has not ended in time
 * @throws the reason of the signal; the error of the work
 */
export async function within<T>(work: Promise<T>, ms: number, signal?: AbortSignal): Promise<T | undefined> {
  const end = new AbortController();
  const either = signal ? AbortSignal.any([signal, end.signal]) : end.signal;
  // Node warns on the terminal of a negative delay.
  const late = sleep(Math.max(0, ms), undefined, { signal: either });
  late.catch(() => {});
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    end.abort();
  }
}
