import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_KINDS, Refusals } from '../../../services/gateway/audit/refusals.ts';

/** Refusals of the same kind are told once, and counted from then on. */

test('the first of a kind is told at once, the others once a minute, and a kind that rested at once again', () => {
  const refusals = new Refusals<string>();
  equal(refusals.add('a', 'first', 1_000), true);
  deepEqual(refusals.take(), [], 'it is told already');
  equal(refusals.add('a', 'again', 61_000), true);
  for (let n = 0; n < 49_000; n += 1) equal(refusals.add('a', 'more', 62_000 + n), false);
  equal(refusals.add('b', 'another', 70_000), true);
  deepEqual(refusals.take(), [{ first: 'again', count: 49_000, since: 62_000, others: false }]);
  equal(refusals.add('a', 'goes on', 121_000), false, 'it did not rest');
  deepEqual(refusals.take(), [{ first: 'again', count: 1, since: 121_000, others: false }]);
  deepEqual(refusals.take(), []);
  equal(refusals.add('a', 'after a rest', 300_000), true);
});

test('of too many kinds, the rest is counted together', () => {
  const refusals = new Refusals<string>();
  const told = Array.from({ length: 10_000 }, (_, n) => refusals.add(`kind ${n}`, `${n}`, n)).filter(Boolean);
  equal(told.length, MAX_KINDS);
  const others = { first: `${MAX_KINDS}`, count: 10_000 - MAX_KINDS, since: MAX_KINDS, others: true };
  deepEqual(refusals.take(), [others]);
  deepEqual(refusals.take(), []);
});
