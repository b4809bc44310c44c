import { type DeltaMetrics, deltaOutcomes } from '#proto/status/process-metrics.ts';
import { countCode, zeros } from './counts.ts';

/** Counts the deltas that this process made and applied, since its start. Times are processor time, in ms. */
export class DeltaCounters {
  readonly metrics: DeltaMetrics = {
    outcomes: zeros(deltaOutcomes),
    failures: {},
    targetBytes: 0,
    deltaBytes: 0,
    makeMs: 0,
    applyMs: 0,
  };
  /** When the last delta was that made other bytes than its target, in ms since 1970. */
  mismatchedAt: number | undefined;

  /** A delta was made and kept. @param toSize size of its target, in bytes */
  made(toSize: number, size: number, cpuMs: number): void {
    this.metrics.outcomes.made += 1;
    this.metrics.targetBytes += toSize;
    this.metrics.deltaBytes += size;
    this.metrics.makeMs += Math.round(cpuMs);
  }

  /** A delta was hardly smaller than its target, and was dropped. */
  poor(cpuMs: number): void {
    this.metrics.outcomes.poor += 1;
    this.metrics.makeMs += Math.round(cpuMs);
  }

  /** A delta was applied, and its target has the right digest. */
  applied(cpuMs: number): void {
    this.metrics.outcomes.applied += 1;
    this.metrics.applyMs += Math.round(cpuMs);
  }

  /** A delta could not be made or applied, for another cause than a wrong digest. @param code of the fault */
  failed(job: 'make' | 'apply', code: string, cpuMs = 0): void {
    this.metrics.outcomes.failed += 1;
    this.metrics[`${job}Ms`] += Math.round(cpuMs);
    countCode(this.metrics.failures, code);
  }

  /** A delta made other bytes than its target. */
  mismatched(job: 'make' | 'apply', cpuMs = 0): void {
    this.metrics.outcomes.mismatched += 1;
    this.mismatchedAt = Date.now();
    this.metrics[`${job}Ms`] += Math.round(cpuMs);
  }
}
