import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import type { PassContext } from '../../../../services/syncer/reconcile/context/pass-context.ts';
import {
  PassPrefetch,
  type PrefetchSource,
} from '../../../../services/syncer/reconcile/context/pass-prefetch.ts';
import { placeholder } from '../../../../services/syncer/reconcile/context/placeholder.ts';
import { type Selected, surveyRepository } from '../../../../services/syncer/reconcile/observe/survey.ts';
import { Registry } from '../model.ts';

const [A, B, C] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`) as [Digest, Digest, Digest];
const REPOSITORY = 'app';
const { signal } = new AbortController();

type Scene = {
  layer?: Record<Tag, Digest>;
  base?: Record<Tag, Digest>;
  /** Undefined if the parent does not know the repository. */
  parent?: Record<Tag, Digest> | undefined;
  /** Tags that the parent's list lacks. */
  unlisted?: Tag[];
  mode?: 'ReadWrite' | 'ReadOnly';
  unsent?: Digest[];
  /** What is on record as being sent. */
  sending?: [Tag, Digest | null][];
  withdrawn?: Digest[];
  selected?: Partial<Selected>;
  scope?: string[];
};

/** The survey, its actions as `kind tag`, and the tags that were resolved at the parent. */
async function surveyScene(scene: Scene) {
  const local = new Registry('local', true);
  for (const [tag, digest] of Object.entries(scene.layer ?? {})) local.tags.set(tag, digest);
  for (const [tag, digest] of Object.entries(scene.base ?? {})) local.bases.set(tag, digest);
  const resolved: Tag[] = [];
  const pending = (digests: Digest[] = []) =>
    digests.map((digest) => ({ repository: REPOSITORY, digest, since: 0 }));
  const parent = {
    tags: async () =>
      scene.parent && Object.keys(scene.parent).filter((tag) => !scene.unlisted?.includes(tag)),
    manifest: async (_: string, tag: Tag) => {
      throw new Fault('manifest-unknown', `no ${tag}`);
    },
    resolve: async (_: string, tag: Tag) => {
      resolved.push(tag);
      return scene.parent?.[tag];
    },
  };
  const prefetch = new PassPrefetch(parent as unknown as PrefetchSource, signal, new BoundedMap(1));
  const found = await surveyRepository(
    {
      bus: local.bus(async () => {}),
      parent,
      prefetch,
      configuration: { mode: scene.mode ?? 'ReadWrite' },
      unsentChanges: {
        unsent: () => pending(scene.unsent),
        withdrawn: () => pending(scene.withdrawn),
        sending: () => new Map(scene.sending),
      },
      signal,
    } as unknown as PassContext,
    REPOSITORY,
    { name: '*', referrers: true, priority: 0, conflict: 'parent-wins', ...scene.selected },
    scene.scope && new Set(scene.scope),
  );
  const actions = found.actions.map(({ tag, action }) => `${action.kind} ${tag}`);
  return { found, actions, resolved: resolved.sort() };
}

test('a tag that the filter excludes is resolved only if a client changed it here', async () => {
  const parent = { v1: A, x1: A, x2: B };
  const base = { x1: A, x2: A };
  const layer = { x1: A, x2: C };
  const selected = { tags: { match: ['v*'] } };
  const both = await surveyScene({ parent, base, layer, selected });
  assert.deepEqual(both.resolved, ['v1', 'x2']);
  assert.deepEqual(both.actions, ['take v1', 'take x2']);
  assert.equal(both.found.hasAllTags, false);
  const only = await surveyScene({ parent, base, layer, selected, mode: 'ReadOnly' });
  assert.deepEqual(only.resolved, ['v1']);
  assert.deepEqual(only.actions, ['take v1', 'drop x1']);
});

test('with a scope, only its tags are resolved, and only changes made here cause actions', async () => {
  const parent = { v1: A, v2: A, v4: B };
  const base = { v1: A, v2: A, v3: A, v4: A };
  const layer = { v1: B, v3: A, v4: A };
  const { actions, resolved, found } = await surveyScene({
    parent,
    base,
    layer,
    scope: ['v1', 'v2', 'v3', 'v4', A],
  });
  assert.deepEqual(resolved, ['v1', 'v2', 'v3', 'v4']);
  assert.deepEqual(actions, ['push v1', 'withdraw v2']);
  assert.deepEqual([found.settled, found.hasAllTags], [[], false]);
});

test('if the parent does not know a repository, no tag is dropped here, and new tags are pushed', async () => {
  const { actions } = await surveyScene({ parent: undefined, base: { a: A, b: A }, layer: { a: A, c: C } });
  assert.deepEqual(actions, ['push c']);
});

test('what was sent of tags is settled, although the parent does not know the repository', async () => {
  const scene: Scene = {
    parent: undefined,
    base: { again: A, away: A },
    layer: { again: A },
    sending: [
      ['again', null],
      ['away', null],
      ['deleted', B],
    ],
  };
  const { actions, found, resolved } = await surveyScene(scene);
  assert.deepEqual(resolved, ['again', 'away', 'deleted']);
  // It was pushed again after its deletion was sent.
  assert.deepEqual(actions, ['push again', 'agree away']);
  assert.deepEqual(found.obsolete, [{ repository: REPOSITORY, tag: 'deleted', digest: B }]);
  assert.deepEqual(found.actions[0]?.known, { base: A, sending: null });
});

test('if a withdrawal of a manifest is pending, all tags of the parent are resolved', async () => {
  const scene = { parent: { v1: A, x1: A }, selected: { tags: { match: ['v*'] } }, withdrawn: [A] };
  for (const scope of [undefined, [A]]) {
    const { resolved, found } = await surveyScene({ ...scene, ...(scope && { scope }) });
    assert.deepEqual(resolved, ['v1', 'x1']);
    assert.equal(found.hasAllTags, true);
  }
});

test('a survey of a repository that the parent does not know has all tags if a withdrawal is pending', async () => {
  const scene = { parent: undefined, base: { v1: A }, withdrawn: [A] };
  assert.equal((await surveyScene(scene)).found.hasAllTags, true);
  assert.equal((await surveyScene({ ...scene, scope: [A] })).found.hasAllTags, true);
  assert.equal((await surveyScene({ ...scene, withdrawn: [] })).found.hasAllTags, false);
});

test('a placeholder that a withdrawal left counts as a deleted tag', async () => {
  const marker = placeholder(REPOSITORY, 'v1').digest;
  const { actions, found } = await surveyScene({ parent: { v1: marker }, base: { v1: A }, layer: {} });
  assert.deepEqual(actions, ['agree v1']);
  assert.deepEqual(found.placeholders, ['v1']);
});

test('unsent content that the parent has under a tag was pushed there by this layer', async () => {
  const scene = { parent: { v1: B }, base: { v1: A }, layer: { v1: C } };
  const [own] = (await surveyScene({ ...scene, unsent: [B, C] })).found.actions;
  assert.deepEqual(own?.action, { kind: 'push', digest: C });
  const [other] = (await surveyScene({ ...scene, unsent: [C] })).found.actions;
  assert.deepEqual(other?.action, { kind: 'take', digest: B, loser: C });
  // No tag has to move: only the agreement is recorded.
  const done = { parent: { v1: B }, layer: { v1: B }, unsent: [B] };
  assert.deepEqual((await surveyScene(done)).actions, ['agree v1']);
});

test('a tag that is unchanged here was moved at the parent, even if its new target is unsent here', async () => {
  const parent = { latest: B, stable: B };
  const scene = { parent, base: { latest: A }, layer: { latest: A, v2: B }, unsent: [B] };
  assert.deepEqual((await surveyScene(scene)).actions, ['take latest', 'take stable', 'push v2']);
});

test('a tag that the list of the parent lacks is dropped only if it does not resolve', async () => {
  const base = { v1: A, v2: A, v3: A, v4: A };
  const { v2: _, ...layer } = base;
  const { actions } = await surveyScene({
    parent: { v1: A, v2: A, v3: B },
    unlisted: ['v1', 'v2', 'v3'],
    base,
    layer,
  });
  assert.deepEqual(actions, ['withdraw v2', 'take v3', 'drop v4']);
});
