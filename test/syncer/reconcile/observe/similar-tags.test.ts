import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest } from '#proto/oci/names.ts';
import { similarTargets } from '../../../../services/syncer/reconcile/observe/similar-tags.ts';

/** Tags whose target is their own name. */
const similar = (tag: string, ...tags: string[]) =>
  similarTargets(new Map(tags.map((one) => [one, one as Digest])))(tag);

test('a tag resembles itself, then the versions next to it, of its own form first', () => {
  assert.deepEqual(similar('latest', '1.0', 'latest'), ['latest', '1.0']);
  assert.deepEqual(similar('1.10', '1.2', '1.9', '1.11', '2.0'), ['1.9', '1.2', '1.11']);
  assert.deepEqual(similar('1.10-alpine', '1.9', '1.9-alpine', '1.10'), ['1.9-alpine', '1.10']);
  assert.deepEqual(similar('v1', 'v2'), ['v2']);
  assert.deepEqual(similar('v1'), []);
});

test('tags of one target count once', () => {
  const layer = new Map([
    ['1.0', 'a' as Digest],
    ['1.1', 'a' as Digest],
    ['1.2', 'b' as Digest],
  ]);
  assert.deepEqual(similarTargets(layer)('1.3'), ['b', 'a']);
});
