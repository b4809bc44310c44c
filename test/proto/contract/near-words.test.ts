import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editsBetween, nearWords } from '#proto/contract/near-words.ts';

const known = [
  ...['up', 'init', 'status', 'events', 'sync', 'syncer', 'token', 'scope', 'child', 'gc', 'scrub', 'repair'],
  ...['resume', 'restore', 'replay', 'config', 'repositories', 'tags', 'show', 'backup', 'import', 'export'],
];

/** What is close, and what is not: a wrong proposal is worse than none. */
const rows: [text: string, near: string[]][] = [
  ['staus', ['status']],
  ['stauts', ['status']],
  ['STATUS', ['status']],
  ['snyc', ['sync']],
  ['syncs', ['sync']],
  ['upp', ['up']],
  ['evnet', ['events']],
  ['tokens', ['token']],
  ['children', ['child']],
  ['repo', ['repositories']],
  ['conf', ['config']],
  ['exprot', ['export']],
  ['sync-now', ['sync']],
  ['re', []],
  ['go', []],
  ['pu', []],
  ['list', []],
  ['help', []],
  ['mount', []],
  ['start', []],
  ['xyzzy', []],
  ['', []],
];
for (const [text, near] of rows) {
  test(`"${text}" is close to ${near.join(', ') || 'nothing'}`, () => {
    assert.deepEqual(nearWords(text, known), near);
  });
}

test('edits are insertions, deletions, replacements, and swaps of two neighbours', () => {
  assert.deepEqual(
    ['', 'abc', 'ab', 'abcd', 'axc', 'acb', 'xyz'].map((text) => editsBetween(text, 'abc')),
    [3, 0, 1, 1, 1, 1, 3],
  );
});

test('a text of any length is compared at once, and proposals are bounded', () => {
  assert.deepEqual(nearWords('x'.repeat(1_000_000), known), []);
  assert.equal(
    nearWords(
      'tag',
      Array.from({ length: 100 }, (_, index) => `tag-${index}`),
    ).length,
    3,
  );
});
