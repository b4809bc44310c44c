import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassStats } from '../../../../services/syncer/reconcile/context/pass-stats.ts';
import { quiet } from '../../../support/bus.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const parked = (reference: string, of: string | undefined = digest) => ({
  ...{ repository: 'app', reference, code: 'parent-refused', reason: '403', since: 0, attempts: 1, retry: 1 },
  ...(of !== undefined && { digest: of }),
});

/** @returns the number of parked changes, and the references that are listed */
function waiting(...changes: ReturnType<typeof parked>[]): [number, (string | undefined)[]] {
  const stats = new PassStats(quiet);
  for (const change of changes) stats.wait(change);
  const { parked: count, failures } = stats.result('p');
  return [count, failures.map(({ tag }) => tag)];
}

test('a manifest that is parked beside a tag that points to it counts once, in any order', () => {
  assert.deepEqual(waiting(parked(digest), parked('v1')), [1, ['v1']]);
  assert.deepEqual(waiting(parked('v1'), parked(digest)), [1, ['v1']]);
});

test('other parked changes count each', () => {
  const other = `sha256:${'b'.repeat(64)}`;
  assert.deepEqual(waiting(parked('v1'), parked('v2'), parked(other, other)), [3, ['v1', 'v2', other]]);
  const deleted = { ...parked('v3'), digest: undefined as unknown as string };
  assert.deepEqual(waiting(deleted, { ...deleted, reference: digest }), [2, ['v3', digest]]);
});
