import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  matchedPatterns,
  unmatchedPatterns,
} from '../../../../services/syncer/reconcile/select/unmatched.ts';

const patterns = ['*', 'app/*', 'base', 'none/*', 'gone'];
const surveys = [
  { repository: 'app/one', tags: 2 },
  { repository: 'base', tags: 0 },
];

test('selections by which nothing was found, and what could not be looked at is none of them', () => {
  assert.deepEqual(unmatchedPatterns(patterns, surveys, []), ['base', 'none/*', 'gone']);
  const refused = { repository: 'gone', code: 'parent-refused', reason: 'the parent answered 403' };
  assert.deepEqual(unmatchedPatterns(patterns, surveys, [refused]), ['base', 'none/*']);
  const catalog = { code: 'parent-refused', reason: 'GET /v2/_catalog: the parent answered 401' };
  assert.deepEqual(unmatchedPatterns(patterns, surveys, [catalog]), []);
});

test('selections by which something was', () => {
  assert.deepEqual(matchedPatterns(patterns, surveys), ['*', 'app/*']);
});
