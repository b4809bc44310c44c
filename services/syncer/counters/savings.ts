import { deltaOutcomes, type TransferMetrics } from '#proto/status/process-metrics.ts';
import type { Savings } from '#proto/status/status.ts';
import type { TransferCounters } from './transfer-counters.ts';

const sum = (numbers: number[]): number => numbers.reduce((total, one) => total + one, 0);

const crossed = ({ bytes }: TransferMetrics): number => bytes.new + bytes.again + bytes['cut-through'];

/** How long a mismatch is reported as a recent one, in ms. */
const RECENT_MS = 86_400_000;

/** What these transfers saved since `since`; undefined while there is nothing to report. See `countsOf`. */
export function savingsOf(counters: TransferCounters, since: number, now: number): Savings | undefined {
  const savings = countsOf(counters, since, now);
  const { outcomes } = counters.deltas.metrics;
  const hasWorked = deltaOutcomes.some((outcome) => outcomes[outcome] > 0);
  return savings.transfers === 0 && !hasWorked ? undefined : savings;
}

/** @param now in ms since 1970, as `since` */
export function countsOf(
  { down, up, deltas, frameMismatches }: TransferCounters,
  since: number,
  now: number,
): Savings {
  const saved = [...Object.values(down.saved), ...Object.values(up.saved)];
  const transfers = sum(saved.map((one) => one.transfers));
  const { mismatchedAt } = deltas;
  const { outcomes, makeMs, applyMs } = deltas.metrics;
  return {
    since,
    saved: sum(saved.map(({ bytes }) => bytes)),
    crossed: crossed(down) + crossed(up),
    transfers,
    mismatched: outcomes.mismatched + frameMismatches,
    ...(mismatchedAt !== undefined && now - mismatchedAt < RECENT_MS && { mismatchedAt }),
    cpuMs: makeMs + applyMs + down.saved.frames.cpuMs + up.saved.frames.cpuMs,
  };
}
