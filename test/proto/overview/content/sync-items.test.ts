import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Mode } from '#proto/oci/mode.ts';
import { repositoryItem, tagItem } from '#proto/overview/content/sync-items.ts';

/** Rows of the lists say the same as the figure of the layer. */

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
const NONE = { tags: 0, bytes: 0, unsized: 0, failed: 0 };
const QUIET = { tags: 0, manifests: 0, deletions: 0, parked: 0 };
const repository = { repository: 'app', covered: true, tags: 1, conflicts: 0, behind: NONE, ahead: QUIET };
const compared = (mode: Mode, known = true) => ({ hasParent: true, mode, known });

test('a repository with a tag to push is ahead, if a selection covers it', () => {
  const moved = { ...repository, ahead: { ...QUIET, tags: 1 } };
  const { sync } = repositoryItem(moved, { hasParent: true, known: true });
  deepEqual([sync?.state, sync?.ahead?.tags], ['ahead', 1]);
  equal(repositoryItem({ ...moved, covered: false }, { hasParent: true, known: true }).sync, undefined);
});

test('a repository that could not be compared says why', () => {
  const uncompared = { code: 'denied', reason: 'no', since: 1 };
  const { sync } = repositoryItem({ ...repository, uncompared }, { hasParent: true, known: true });
  deepEqual([sync?.state, sync?.uncompared], ['unknown', uncompared]);
});

test('what was not compared is not in sync', () => {
  equal(repositoryItem(repository, { hasParent: true, known: false }).sync?.state, 'unknown');
  equal(repositoryItem(repository, { hasParent: true, known: true }).sync?.state, 'in-sync');
  equal(tagItem({ tag: 't', digest: A, base: A }, true, compared('ReadWrite', false)).state, 'unknown');
  const ahead = { ...repository, ahead: { ...QUIET, manifests: 1 } };
  equal(repositoryItem(ahead, { hasParent: true, known: false }).sync?.state, 'ahead');
});

test('a tag of its own is only here in a ReadOnly layer, and ahead in another', () => {
  const stateOf = (figures: object, mode: Mode, covered = true) =>
    tagItem({ tag: 't', ...figures }, covered, compared(mode)).state;
  equal(stateOf({ digest: A }, 'ReadOnly'), 'local');
  equal(stateOf({ digest: A }, 'ReadWrite'), 'ahead');
  equal(stateOf({ digest: A }, 'ReadWrite', false), undefined);
  equal(stateOf({ digest: A, base: B, behind: { target: A, since: 1 } }, 'ReadWrite'), 'behind');
  equal(stateOf({ digest: A, base: B, behind: { target: B, since: 1 } }, 'ReadWrite'), 'diverged');
});

test('nothing is compared in a layer without a parent', () => {
  const none = { hasParent: false, known: false, mode: 'ReadWrite' } as const;
  equal(repositoryItem(repository, none).sync, undefined);
  equal(tagItem({ tag: 't', digest: A }, true, none).state, undefined);
});
