import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batches } from '#proto/async/batches.ts';
import { byName, byPartlyHere, bySize } from '../../../../services/syncer/reconcile/context/order.ts';

const image = (text: string) => {
  const [priority, state, repository, tag] = text.split(' ') as [string, string, string, string?];
  return { priority: Number(priority), isPartlyHere: state === 'partly', repository, tag: tag ?? null, text };
};

test('images are ordered by priority, then partly pulled ones first, then by repository and tag', () => {
  const order = [
    '5 new z v1',
    '5 new z v2',
    '0 partly b v1',
    '0 new a',
    '0 new a v1',
    '0 new b v2',
    '-1 partly a v1',
  ];
  const shuffled = order.toReversed().map(image);
  assert.deepEqual(
    shuffled.toSorted(byPartlyHere).map(({ text }) => text),
    order,
  );
  assert.deepEqual(
    shuffled.toSorted(byName).map(({ text }) => text),
    ['5 new z v1', '5 new z v2', '0 new a', '0 new a v1', '0 partly b v1', '0 new b v2', '-1 partly a v1'],
  );
});

test('blobs are ordered by size, then by digest', () => {
  const blobs = [
    { size: 3, digest: 'a' },
    { size: 1, digest: 'c' },
    { size: 1, digest: 'b' },
  ];
  assert.deepEqual(
    blobs.toSorted(bySize).map(({ digest }) => digest),
    ['b', 'c', 'a'],
  );
});

test('a list is split into batches in its order', () => {
  assert.deepEqual([...batches([1, 2, 3, 4, 5], 2)], [[1, 2], [3, 4], [5]]);
  assert.deepEqual([...batches([], 2)], []);
});
