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
  ['a single request stays as it is', undefined, second, second],
  ['two requests merge into one with the id of the first', first, second, first],
  [
    'a new configuration takes precedence as the cause',
    first,
    { ...second, cause: 'configuration' },
    { ...first, cause: 'configuration' },
  ],
  [
    'a merged request is full, and may run now, if one of the two is',
    { ...first, full: true },
    { ...second, now: true },
    { ...first, full: true, now: true },
  ],
  [
    'an unscoped and a scoped request merge into an unscoped one',
    first,
    { ...second, scope: scope({ a: ['1'] }) },
    first,
  ],
  [
    'a scoped and an unscoped request merge into an unscoped one',
    { ...first, scope: scope({ a: ['1'] }) },
    second,
    first,
  ],
  [
    'the scopes of two scoped requests are united',
    { ...first, scope: scope({ a: ['1'], b: ['1'] }) },
    { ...second, scope: scope({ a: ['1', '2'], c: ['3'] }) },
    { ...first, scope: scope({ a: ['1', '2'], b: ['1'], c: ['3'] }) },
  ],
];
for (const [name, earlier, later, expected] of rows) {
  test(name, () => assert.deepEqual(mergeRequests(earlier, later), expected));
}

test('requests whose scopes are too large together merge into an unscoped one', () => {
  const many = Array.from({ length: MAX_SCOPE_ENTRIES }, (_, index) => `v${index}`);
  const large = { ...first, scope: scope({ a: many }) };
  assert.ok(mergeRequests(large, { ...second, scope: scope({ a: ['v0'] }) }).scope);
  assert.equal(mergeRequests(large, { ...second, scope: scope({ b: ['v0'] }) }).scope, undefined);
});

test('a merge does not change the merged requests', () => {
  const one = { ...first, scope: scope({ a: ['1'] }) };
  mergeRequests(one, { ...second, scope: scope({ a: ['2'] }) });
  assert.deepEqual(one.scope, scope({ a: ['1'] }));
});
