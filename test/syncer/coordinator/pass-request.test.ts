import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAX_SCOPE_ENTRIES,
  mergeRequests,
  type PassRequest,
} from '../../../services/syncer/reconcile/context/pass-request.ts';

const first: PassRequest = { id: 'first', cause: 'schedule' };
const second: PassRequest = { id: 'second', cause: 'request' };
const scope = (entries: Record<string, string[]>) =>
  new Map(Object.entries(entries).map(([repository, references]) => [repository, new Set(references)]));

const rows: [string, PassRequest | undefined, PassRequest, PassRequest][] = [
  ['the only wish is itself', undefined, second, second],
  ['the first one keeps its name', first, second, first],
  [
    'a new configuration stays the cause',
    first,
    { ...second, cause: 'configuration' },
    { ...first, cause: 'configuration' },
  ],
  [
    'full and now of either',
    { ...first, full: true },
    { ...second, now: true },
    { ...first, full: true, now: true },
  ],
  ['everything swallows a scope', first, { ...second, scope: scope({ a: ['1'] }) }, first],
  ['a scope is swallowed by everything', { ...first, scope: scope({ a: ['1'] }) }, second, first],
  [
    'scopes are united',
    { ...first, scope: scope({ a: ['1'], b: ['1'] }) },
    { ...second, scope: scope({ a: ['1', '2'], c: ['3'] }) },
    { ...first, scope: scope({ a: ['1', '2'], b: ['1'], c: ['3'] }) },
  ],
];
for (const [name, one, other, expected] of rows) {
  test(name, () => assert.deepEqual(mergeRequests(one, other), expected));
}

test('a scope that grows too large is everything', () => {
  const many = Array.from({ length: MAX_SCOPE_ENTRIES }, (_, index) => `v${index}`);
  const large = { ...first, scope: scope({ a: many }) };
  assert.ok(mergeRequests(large, { ...second, scope: scope({ a: ['v0'] }) }).scope);
  assert.equal(mergeRequests(large, { ...second, scope: scope({ b: ['v0'] }) }).scope, undefined);
});

test('what was merged is as it was', () => {
  const one = { ...first, scope: scope({ a: ['1'] }) };
  mergeRequests(one, { ...second, scope: scope({ a: ['2'] }) });
  assert.deepEqual(one.scope, scope({ a: ['1'] }));
});
