import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesPattern, selectionOf } from '#proto/oci/repository-pattern.ts';
import { exactNames, needsCatalog } from '../../../../services/syncer/reconcile/select/patterns.ts';

const selections = ['*', 'a/*', 'a/b/*', 'a/b', 'c'].map((name) => ({ name }));

test('the most exact selection applies: the exact name, then the longest prefix, then *', () => {
  const rows = [
    ['a/b', 'a/b'],
    ['a/b/c', 'a/b/*'],
    ['a/b/c/d', 'a/b/*'],
    ['a/bc', 'a/*'],
    ['a', '*'],
    ['ab', '*'],
    ['c', 'c'],
    ['c/d', '*'],
  ];
  for (const [repository, name] of rows) {
    assert.equal(selectionOf(selections, repository as string)?.name, name, repository);
  }
  assert.equal(selectionOf(selections.slice(1), 'd'), undefined);
  assert.equal(selectionOf([], 'a'), undefined);
});

test('in any order of the selections, a repository has one if and only if a pattern matches', () => {
  const repositories = fc.stringMatching(/^[ab](\/[ab]){0,3}$/);
  const names = fc.oneof(
    repositories,
    repositories.map((name) => `${name}/*`),
    fc.constant('*'),
  );
  fc.assert(
    fc.property(fc.uniqueArray(names, { maxLength: 8 }), repositories, (all, repository) => {
      const found = selectionOf(
        all.map((name) => ({ name })),
        repository,
      );
      const reversed = selectionOf(
        [...all].reverse().map((name) => ({ name })),
        repository,
      );
      assert.equal(found?.name, reversed?.name);
      assert.equal(found !== undefined, matchesPattern(all, repository));
    }),
  );
});

test('only patterns need the catalog of the parent', () => {
  assert.deepEqual(exactNames(['a', 'b/*', '*', 'a']), ['a']);
  assert.deepEqual([needsCatalog(['a', 'b']), needsCatalog(['a', 'b/*'])], [false, true]);
});
