import type { SyncMetrics } from '#proto/status/process-metrics.ts';
import type { PassCounters } from './counters/pass-counters.ts';
import type { TransferCounters } from './counters/transfer-counters.ts';
import type { SyncerSettings } from './link/parent/settings.ts';

/** What this process has done since its start, and what holds of its link now. */
export async function readSyncMetrics(
  settings: SyncerSettings,
  passes: PassCounters,
  { down, up, deltas }: TransferCounters,
): Promise<SyncMetrics> {
  const certificateEnds = settings.hasParent ? await settings.certificateEnds() : undefined;
  return {
    passes: passes.metrics,
    down,
    up,
    deltas: deltas.metrics,
    ...(certificateEnds !== undefined && { certificateEnds }),
  };
}
