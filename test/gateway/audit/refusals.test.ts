import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_KINDS, Refusals } from '../../../services/gateway/audit/refusals.ts';

/** Refusals of the same kind are recorded once, and counted from then on. */

test('the first refusal of a kind is recorded at once, more are counted, and after a pause at once again', () => {
  const refusals = new Refusals<string>();
  equal(refusals.add('a', 'first', 1_000), true);
  deepEqual(refusals.take(), [], 'it is recorded already');
  equal(refusals.add('a', 'again', 61_000), true);
  for (let n = 0; n < 49_000; n += 1) equal(refusals.add('a', 'more', 62_000 + n), false);
  equal(refusals.add('b', 'another', 70_000), true);
  deepEqual(refusals.take(), [{ first: 'again', count: 49_000, since: 62_000, others: false }]);
  equal(refusals.add('a', 'goes on', 121_000), false, 'the kind did not pause');
  deepEqual(refusals.take(), [{ first: 'again', count: 1, since: 121_000, others: false }]);
  deepEqual(refusals.take(), []);
  equal(refusals.add('a', 'after a pause', 300_000), true);
});

test('refusals of kinds beyond MAX_KINDS are counted together', () => {
  const refusals = new Refusals<string>();
  const recorded = Array.from({ length: 10_000 }, (_, n) => refusals.add(`kind ${n}`, `${n}`, n)).filter(
    Boolean,
  );
  equal(recorded.length, MAX_KINDS);
  const others = { first: `${MAX_KINDS}`, count: 10_000 - MAX_KINDS, since: MAX_KINDS, others: true };
  deepEqual(refusals.take(), [others]);
  deepEqual(refusals.take(), []);
});
