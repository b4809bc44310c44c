import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { layersBelow } from '#proto/status/layers-below.ts';
import { forgetDeletedChildren } from '../../../services/gateway/children/forget-children.ts';
import { quiet } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

test('an account that is deleted during a check is found by another check', async () => {
  let changed = () => {};
  let accounts = ['line'];
  let reads = 0;
  const bus = {
    list: async (state: { bucket: string }) =>
      new Map(state.bucket === layersBelow.bucket ? [['line', { account: true }]] : []),
    unreadable: () => [],
    call: async () => {
      reads += 1;
      const names = accounts;
      // After the accounts were read, and before the caller has the answer.
      if (reads === 1) {
        accounts = [];
        changed();
      }
      return { names, open: false };
    },
    onInvalidation: (_event: unknown, handler: () => void) => {
      changed = handler;
      return () => {};
    },
    onGap: () => {},
  } as unknown as Bus;
  const forgotten: string[] = [];
  const reports = { forget: async (child: string) => void forgotten.push(child) };
  using _forgetting = forgetDeletedChildren({ bus, reports, log: quiet });
  await until(() => forgotten.length > 0, 'the state of the child is deleted');
  assert.deepEqual(forgotten, ['line']);
  assert.equal(reads, 2);
});
