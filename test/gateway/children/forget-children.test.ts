import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { layersBelow } from '#proto/status/layers-below.ts';
import { forgetDeletedChildren } from '../../../services/gateway/children/forget-children.ts';
import { quiet } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

test('an account that goes while the accounts are looked at is looked for again', async () => {
  let changed = () => {};
  let have = ['line'];
  let reads = 0;
  const bus = {
    list: async (state: { bucket: string }) =>
      new Map(state.bucket === layersBelow.bucket ? [['line', { account: true }]] : []),
    unreadable: () => [],
    call: async () => {
      reads += 1;
      const names = have;
      // After the accounts were read, and before whoever asked has the answer.
      if (reads === 1) {
        have = [];
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
  await until(() => forgotten.length > 0, 'it is forgotten');
  assert.deepEqual(forgotten, ['line']);
  assert.equal(reads, 2);
});
