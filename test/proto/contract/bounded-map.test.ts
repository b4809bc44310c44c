import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedMap } from '#proto/contract/bounded-map.ts';

test('the value that was not used for longest makes room for a new one', () => {
  const map = new BoundedMap<number>(2);
  map.set('a', 1);
  map.set('b', 2);
  assert.equal(map.get('a'), 1);
  map.set('c', 3);
  assert.deepEqual(map.entries(), [
    ['a', 1],
    ['c', 3],
  ]);
});

test('a value that is set again is a used one, and takes no more room', () => {
  const map = new BoundedMap<number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  assert.equal(map.size, 2);
  map.set('c', 4);
  assert.deepEqual([map.has('a'), map.has('b'), map.get('a')], [true, false, 3]);
});

test('asking whether there is a value does not count as use', () => {
  const map = new BoundedMap<number>(2);
  map.set('a', 1);
  map.set('b', 2);
  assert.equal(map.has('a'), true);
  map.set('c', 3);
  assert.equal(map.has('a'), false);
});

test('values are deleted one by one and all at once', () => {
  const map = new BoundedMap<number>(2);
  map.set('a', 1);
  map.set('b', 2);
  assert.deepEqual([map.delete('a'), map.delete('a'), map.get('a')], [true, false, undefined]);
  map.clear();
  assert.equal(map.size, 0);
});
