import { setTimeout as sleep } from 'node:timers/promises';

/** Counts bytes that were read, and waits while there are too many for the rate. */
export type Pace = (bytes: number) => Promise<void>;

/**
 * The pace of several readers together. It yields even without a limit, because requests take precedence.
 * @param rate bytes/s; undefined: no limit
 * @throws the reason of `signal`, once it aborts
 */
export function paceAt(rate: number | undefined, signal: AbortSignal): Pace {
  const began = performance.now();
  let total = 0;
  return async (bytes) => {
    total += bytes;
    const ahead = rate === undefined ? 0 : (total / rate) * 1_000 - (performance.now() - began);
    await sleep(Math.max(0, ahead), undefined, { signal }).catch(() => {});
    signal.throwIfAborted();
  };
}
