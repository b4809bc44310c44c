import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { makeJobFor } from '#proto/sync/make-delta-job.ts';

/** Of which bases a delta is made: those that were not tried in vain. */

const MIB = 1024 * 1024;
const names = ['a', 'b', 'c', 'd', 'e'];
const bases = names.map((digest) => ({ digest, size: MIB, repositories: ['app'] }));
const candidates = (...refused: string[][]) => {
  const target = { repository: 'app', to: 'x', toSize: MIB, reason: 'asked' as const };
  const pairs = refused.map((from) => ({ to: 'x', from, format: DELTA_FORMAT, reason: 'poor' as const }));
  const images = { layers: ['x'], held: [names] };
  return makeJobFor(target, images, { bases, refused: pairs }, () => true)?.candidates.toSorted();
};

test('a base that was tried in vain is left out, also the most alike one; the others are tried', () => {
  deepEqual(candidates(), names);
  deepEqual(candidates(['a']), ['b', 'c', 'd', 'e']);
  deepEqual(candidates(['a'], ['b', 'c']), ['d', 'e']);
});

test('nothing is tried if no base is left, nor after three attempts in vain; those of other bases do not count', () => {
  equal(candidates(['a', 'b', 'c', 'd'], ['e']), undefined);
  equal(candidates(['a'], ['b'], ['c']), undefined);
  deepEqual(candidates(['a'], ['b'], ['other']), ['c', 'd', 'e']);
});
