import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearNames } from '../../../cli/input/near-names.ts';

test('a misspelt name has the known names that are like it, the nearest first', () => {
  const known = ['line/motor', 'line/motors', 'plant/sensor', 'app'];
  assert.deepEqual(nearNames('line/mottor', known), ['line/motor', 'line/motors']);
  assert.deepEqual(nearNames('Line/Motor', known), ['line/motor', 'line/motors']);
  assert.deepEqual(nearNames('apq', known), ['app']);
  assert.deepEqual(nearNames('something/else', known), []);
  assert.deepEqual(nearNames('a'.repeat(300), ['a'.repeat(299)]), []);
});
