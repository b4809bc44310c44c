import assert from 'node:assert/strict';
import { test } from 'node:test';
import { savingsOf } from '../../../services/syncer/counters/savings.ts';
import { TransferCounters } from '../../../services/syncer/counters/transfer-counters.ts';

test('there are no savings before a transfer saved bytes, or a delta was made or applied', () => {
  const counters = new TransferCounters();
  counters.bytes('down', 'new', 100);
  counters.ended('down', 'finished');
  assert.equal(savingsOf(counters, 7, Date.now()), undefined);
  counters.deltas.poor(3);
  assert.deepEqual(savingsOf(counters, 7, Date.now()), {
    ...{ since: 7, saved: 0, crossed: 100, transfers: 0, mismatched: 0, cpuMs: 3 },
  });
});

test('savings are those of both directions and kinds, and all bytes that crossed the link', () => {
  const counters = new TransferCounters();
  counters.bytes('down', 'new', 100);
  counters.bytes('down', 'again', 10);
  counters.bytes('down', 'reused', 9_999);
  counters.bytes('up', 'cut-through', 1);
  counters.saved('down', 'delta', 1_000, 20);
  counters.saved('up', 'delta', 500);
  counters.saved('down', 'frames', 50);
  counters.deltas.applied(20);
  counters.deltas.mismatched('apply', 2);
  const { mismatchedAt = 0, ...savings } = savingsOf(counters, 7, Date.now()) ?? {};
  assert.deepEqual(savings, {
    ...{ since: 7, saved: 1_550, crossed: 111, transfers: 3, mismatched: 1, cpuMs: 22 },
  });
  const dayAfter = savingsOf(counters, 7, mismatchedAt + 86_400_000);
  assert.deepEqual([dayAfter?.mismatched, dayAfter?.mismatchedAt], [1, undefined]);
});
