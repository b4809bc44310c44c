import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  matchedPatterns,
  unmatchedPatterns,
} from '../../../../services/syncer/reconcile/select/unmatched.ts';

const patterns = ['*', 'app/*', 'base', 'none/*', 'refused'];
const surveys = [
  { repository: 'app/one', tags: 2 },
  { repository: 'base', tags: 0 },
];

test('a selection without tags is unmatched, unless a repository of it could not be compared', () => {
  assert.deepEqual(unmatchedPatterns(patterns, surveys, []), ['base', 'none/*', 'refused']);
  const refused = { repository: 'refused', code: 'parent-refused', reason: 'the parent answered 403' };
  assert.deepEqual(unmatchedPatterns(patterns, surveys, [refused]), ['base', 'none/*']);
  const catalog = { code: 'parent-refused', reason: 'GET /v2/_catalog: the parent answered 401' };
  assert.deepEqual(unmatchedPatterns(patterns, surveys, [catalog]), []);
  const missing = { repository: 'base', tags: 3, isMissing: true };
  assert.deepEqual(unmatchedPatterns(['base'], [missing], []), ['base'], 'what is here is no match there');
  assert.deepEqual(unmatchedPatterns(['*'], [], []), ['*'], 'an empty catalog may be a missing permission');
});

test('a selection with tags is matched', () => {
  assert.deepEqual(matchedPatterns(patterns, surveys), ['*', 'app/*']);
});
