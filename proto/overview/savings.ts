import type { Savings, SyncerStatus } from '../status/status.ts';

/** What deltas and frames saved on the link of a layer, from the states of its syncers. Pure. */

/** The sum of all syncers; undefined if none reports any. `since`: of the syncer that has run for the longest time. */
export function totalSavings(syncers: readonly SyncerStatus[]): Savings | undefined {
  const all = syncers.flatMap(({ savings }) => savings ?? []);
  return all.length === 0 ? undefined : all.reduce(add);
}

function add(a: Savings, b: Savings): Savings {
  const mismatchedAt = Math.max(a.mismatchedAt ?? 0, b.mismatchedAt ?? 0);
  return {
    since: Math.min(a.since, b.since),
    saved: a.saved + b.saved,
    crossed: a.crossed + b.crossed,
    transfers: a.transfers + b.transfers,
    mismatched: a.mismatched + b.mismatched,
    ...(mismatchedAt > 0 && { mismatchedAt }),
    cpuMs: a.cpuMs + b.cpuMs,
  };
}

/**
 * What was saved in total: what is kept, which outlives the syncers, or while there is nothing, the sum of those that
 * run.
 */
export function savingsIn(kept: Savings | undefined, syncers: readonly SyncerStatus[]): Savings | undefined {
  const running = totalSavings(syncers);
  const { mismatchedAt } = running ?? {};
  return kept ? { ...kept, ...(mismatchedAt !== undefined && { mismatchedAt }) } : running;
}

/** Share of the bytes that would have crossed the link, and did not: 0 to 1. */
export const savedShare = ({ saved, crossed }: Savings): number =>
  saved === 0 ? 0 : saved / (saved + crossed);
