import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from '#proto/contract/contract.ts';
import { SyncMetrics } from '#proto/status/process-metrics.ts';
import { PassCounters } from '../../../services/syncer/counters/pass-counters.ts';
import { TransferCounters } from '../../../services/syncer/counters/transfer-counters.ts';

test('what deltas save and cost is counted by direction and kind, in whole ms', () => {
  const counters = new TransferCounters();
  counters.saved('down', 'delta', 900, 12.6);
  counters.saved('down', 'delta', 100);
  counters.saved('down', 'frames', 50);
  counters.saved('up', 'delta', -1);
  counters.deltas.made(1_000, 80, 30.2);
  counters.deltas.made(500, 20, 0);
  counters.deltas.poor(5);
  counters.deltas.applied(12.6);
  counters.deltas.failed('apply', 'no-space', 2);
  counters.deltas.failed('make', 'of-tomorrow');
  counters.deltas.mismatched('apply', 3);
  const { down, up, deltas } = counters;
  const passes = new PassCounters().metrics;
  const sync = check(SyncMetrics, { passes, down, up, deltas: deltas.metrics });
  assert.deepEqual(sync.down.saved, {
    delta: { transfers: 2, bytes: 1_000, cpuMs: 13 },
    frames: { transfers: 1, bytes: 50, cpuMs: 0 },
  });
  assert.deepEqual(sync.up.saved.delta, { transfers: 1, bytes: 0, cpuMs: 0 });
  assert.deepEqual(sync.deltas, {
    outcomes: { made: 2, poor: 1, applied: 1, mismatched: 1, failed: 2 },
    failures: { 'no-space': 1, other: 1 },
    ...{ targetBytes: 1_500, deltaBytes: 100, makeMs: 35, applyMs: 18 },
  });
});
