import { faultCodes } from '#proto/contract/fault.ts';
import type { Counts } from '#proto/status/process-metrics.ts';

/**
 * Counters of this process since its start: transfers, passes, and deltas. Who does the work counts it;
 * services/syncer/sync-metrics.ts reads them when someone asks.
 */

/** A count of 0 for each word. */
export const zeros = <T extends string>(words: readonly T[]): Record<T, number> =>
  Object.fromEntries(words.map((word) => [word, 0])) as Record<T, number>;

const known = new Set<string>(faultCodes);

/** Counts the code of a fault; any other code as `other`, so that the number of codes is bounded. */
export function countCode(counts: Counts, code: string): void {
  const word = known.has(code) ? code : 'other';
  counts[word] = (counts[word] ?? 0) + 1;
}
