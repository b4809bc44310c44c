import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isConflictTag, loserTag, originalTag } from '#proto/sync/conflict-tag.ts';

/** Names of conflict tags. */

const [A, B] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}`) as [string, string];

test('a conflict tag names the layer and the content, and has 128 characters at most', () => {
  assert.equal(loserTag('1.0', 'line-3', A), '1.0.conflict-line-3-aaaaaaaaaaaa');
  assert.equal(loserTag('1.0.conflict-line-3-aaaaaaaaaaaa', 'site', B), '1.0.conflict-site-bbbbbbbbbbbb');
  assert.equal(loserTag('t'.repeat(128), 'line-3', A).length, 128);
});

test('a conflict tag is recognized by its ending, and names the tag that it is of', () => {
  assert.equal(isConflictTag(loserTag('1.0', 'line-3', A)), true);
  assert.equal(originalTag(loserTag('1.0', 'line-3', A)), '1.0');
  for (const tag of ['1.0', '1.0.conflict-', 'conflict-line-3-aaaaaaaaaaaa', '1.conflict-a-aaaaaaaaaaaaz']) {
    assert.equal(isConflictTag(tag), false);
    assert.equal(originalTag(tag), tag);
  }
});
