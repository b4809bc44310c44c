/** How long to wait, in ms. Pure; every wait for something outside is one of these. `random`: 0 to 1. */

export type Backoff = { firstMs: number; maxMs: number };

/** After this many doublings every limit is reached. */
const MAX_DOUBLINGS = 30;

/**
 * After failure number `failures` in a row (from 1): doubling from `firstMs` to `maxMs`, of which a random half to all
 * is waited, so that those who failed together do not come back together.
 */
export function backoffMs(failures: number, { firstMs, maxMs }: Backoff, random = Math.random()): number {
  const doublings = Math.min(Math.max(0, failures - 1), MAX_DOUBLINGS);
  return Math.min(maxMs, firstMs * 2 ** doublings) * (0.5 + random / 2);
}

/** An interval, ± 25 %: what many do at the same interval must not fall on the same moments. */
export const jittered = (ms: number, random = Math.random()): number => ms * (0.75 + random / 2);

/** Over how long those come back that were told the same time to wait. */
const MAX_SPREAD_MS = 5_000;

/** A time that the other side asked for (Retry-After): never less, and up to a quarter more. */
export const atLeast = (askedMs: number, random = Math.random()): number =>
  askedMs + random * Math.min(askedMs / 4, MAX_SPREAD_MS);
