/**
 * Timing and concurrency without I/O: waits (this file), a lock per key (keyed-lock.ts), bounded parallelism (each.ts),
 * batches (batches.ts), group commits (group-commit.ts), and waits that an abort (unless-aborted.ts) or a limit
 * (within.ts) ends.
 *
 * Every wait for something outside the process takes its length from this file, in ms. A caller counts failures in a
 * row, waits `backoffMs` after each and starts again at one after a success; a poll waits `jittered`; an answer that
 * names a time to wait is honoured with `requestedWaitMs`. `random` is from 0 to 1. Pure.
 */

export type Backoff = { firstMs: number; maxMs: number };

/** Max doublings: every limit is reached by then. */
const MAX_DOUBLINGS = 30;

/**
 * Wait after failure number `failures` in a row (from 1): doubles from `firstMs` to `maxMs`. The result is a random
 * part of it, half to all, so that clients that failed together do not retry together.
 */
export function backoffMs(failures: number, { firstMs, maxMs }: Backoff, random = Math.random()): number {
  const doublings = Math.min(Math.max(0, failures - 1), MAX_DOUBLINGS);
  return Math.min(maxMs, firstMs * 2 ** doublings) * (0.5 + random / 2);
}

/** An interval ± 25 %, so that many processes with the same interval do not act at the same moments. */
export const jittered = (ms: number, random = Math.random()): number => ms * (0.75 + random / 2);

/** Max time over which clients that got the same time to wait spread their retries. */
const MAX_SPREAD_MS = 5_000;

/** A wait that the other side requested (Retry-After): never shorter, and up to a quarter longer. */
export const requestedWaitMs = (askedMs: number, random = Math.random()): number =>
  askedMs + random * Math.min(askedMs / 4, MAX_SPREAD_MS);
