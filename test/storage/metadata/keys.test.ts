import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kinds } from '../../../services/storage/metadata/keys.ts';

test('every kind of record has a letter of its own', () => {
  const letters = Object.values(kinds);
  assert.deepEqual(letters, [...new Set(letters)]);
});
