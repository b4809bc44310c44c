import { PASS_BOUNDS_S, passActions, passOutcomes, type SyncMetrics } from '#proto/status/process-metrics.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { countCode, zeros } from './counts.ts';

type PassMetrics = SyncMetrics['passes'];

/** Counts the passes of this process, since its start. */
export class PassCounters {
  readonly metrics: PassMetrics = {
    outcomes: zeros(passOutcomes),
    actions: zeros(passActions),
    failures: {},
    duration: { buckets: new Array(PASS_BOUNDS_S.length + 1).fill(0), seconds: 0 },
  };

  ended(result: PassResult): void {
    const { outcomes, actions, failures, duration } = this.metrics;
    outcomes[outcomeOf(result)] += 1;
    for (const action of passActions) actions[action] += result[action];
    for (const { code } of result.failures) countCode(failures, code);
    const seconds = result.ms / 1_000;
    const bucket = PASS_BOUNDS_S.findIndex((bound) => seconds <= bound);
    const at = bucket < 0 ? PASS_BOUNDS_S.length : bucket;
    duration.buckets[at] = (duration.buckets[at] ?? 0) + 1;
    duration.seconds += seconds;
  }
}

export function outcomeOf({
  ok,
  ended,
  failed,
  unanswered,
  parked,
}: PassResult): (typeof passOutcomes)[number] {
  if (ok) return 'ok';
  if (failed > 0 || unanswered) return 'failed';
  if (ended) return 'ended';
  return parked > 0 ? 'parked' : 'incomplete';
}
