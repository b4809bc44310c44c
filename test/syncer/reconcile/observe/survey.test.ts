import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest, Tag } from '#proto/oci/names.ts';
import type { PassContext } from '../../../../services/syncer/reconcile/context/pass-context.ts';
import { placeholder } from '../../../../services/syncer/reconcile/context/placeholder.ts';
import { type Selected, survey } from '../../../../services/syncer/reconcile/observe/survey.ts';
import { Registry } from '../model.ts';

const [A, B, C] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`) as [Digest, Digest, Digest];
const REPOSITORY = 'app';
const { signal } = new AbortController();

type Scene = {
  layer?: Record<Tag, Digest>;
  base?: Record<Tag, Digest>;
  /** Undefined: the parent knows no such repository. */
  parent?: Record<Tag, Digest> | undefined;
  /** Tags that its list leaves out. */
  unlisted?: Tag[];
  mode?: 'ReadWrite' | 'ReadOnly';
  unsent?: Digest[];
  withdrawn?: Digest[];
  selected?: Partial<Selected>;
  scope?: string[];
};

/** What is found, as `kind tag`, and which tags the parent was asked for. */
async function look(scene: Scene) {
  const here = new Registry('here', true);
  for (const [tag, digest] of Object.entries(scene.layer ?? {})) here.tags.set(tag, digest);
  for (const [tag, digest] of Object.entries(scene.base ?? {})) here.bases.set(tag, digest);
  const asked: Tag[] = [];
  const pending = (digests: Digest[] = []) =>
    digests.map((digest) => ({ repository: REPOSITORY, digest, since: 0 }));
  const found = await survey(
    {
      bus: here.bus(async () => {}),
      parent: {
        tags: async () =>
          scene.parent && Object.keys(scene.parent).filter((tag) => !scene.unlisted?.includes(tag)),
        resolve: async (_: string, tag: Tag) => {
          asked.push(tag);
          return scene.parent?.[tag];
        },
      },
      configuration: { mode: scene.mode ?? 'ReadWrite' },
      unsentChanges: { unsent: () => pending(scene.unsent), withdrawn: () => pending(scene.withdrawn) },
      signal,
    } as unknown as PassContext,
    REPOSITORY,
    { name: '*', referrers: true, priority: 0, conflict: 'parent-wins', ...scene.selected },
    scene.scope && new Set(scene.scope),
  );
  const actions = found.actions.map(({ tag, action }) => `${action.kind} ${tag}`);
  return { found, actions, asked: asked.sort() };
}

test('a tag that the filter leaves out is asked for only where a client changed it', async () => {
  const parent = { v1: A, x1: A, x2: B };
  const base = { x1: A, x2: A };
  const layer = { x1: A, x2: C };
  const selected = { tags: { match: ['v*'] } };
  const both = await look({ parent, base, layer, selected });
  assert.deepEqual(both.asked, ['v1', 'x2']);
  assert.deepEqual(both.actions, ['take v1', 'take x2']);
  assert.equal(both.found.complete, false);
  const only = await look({ parent, base, layer, selected, mode: 'ReadOnly' });
  assert.deepEqual(only.asked, ['v1']);
  assert.deepEqual(only.actions, ['take v1', 'drop x1']);
});

test('with a scope only its tags are asked for, and nothing goes or comes for what is not there', async () => {
  const parent = { v1: A, v2: A, v4: B };
  const base = { v1: A, v2: A, v3: A, v4: A };
  const layer = { v1: B, v3: A, v4: A };
  const { actions, asked, found } = await look({ parent, base, layer, scope: ['v1', 'v2', 'v3', 'v4', A] });
  assert.deepEqual(asked, ['v1', 'v2', 'v3', 'v4']);
  assert.deepEqual(actions, ['push v1', 'withdraw v2']);
  assert.deepEqual([found.settled, found.complete], [[], false]);
});

test('a repository that the parent does not know: nothing goes here, and what is new goes up', async () => {
  const { actions } = await look({ parent: undefined, base: { a: A, b: A }, layer: { a: A, c: C } });
  assert.deepEqual(actions, ['push c']);
});

test('where a manifest is to be withdrawn, all tags of the parent are asked for', async () => {
  const scene = { parent: { v1: A, x1: A }, selected: { tags: { match: ['v*'] } }, withdrawn: [A] };
  for (const scope of [undefined, [A]]) {
    const { asked, found } = await look({ ...scene, ...(scope && { scope }) });
    assert.deepEqual(asked, ['v1', 'x1']);
    assert.equal(found.complete, true);
  }
});

test('a repository that the parent does not know has no tags to spare, unless one of them is there', async () => {
  const scene = { parent: undefined, base: { v1: A }, withdrawn: [A] };
  assert.equal((await look(scene)).found.complete, true);
  assert.equal((await look({ ...scene, scope: [A] })).found.complete, true);
  assert.equal((await look({ ...scene, withdrawn: [] })).found.complete, false);
});

test('what a withdrawal left in the place of a tag is no tag', async () => {
  const left = placeholder(REPOSITORY, 'v1').digest;
  const { actions, found } = await look({ parent: { v1: left }, base: { v1: A }, layer: {} });
  assert.deepEqual(actions, ['agree v1']);
  assert.deepEqual(found.placeholders, ['v1']);
});

test('content that a client put here and the parent has under the tag was moved by this layer', async () => {
  const scene = { parent: { v1: B }, base: { v1: A }, layer: { v1: C } };
  const [own] = (await look({ ...scene, unsent: [B, C] })).found.actions;
  assert.deepEqual(own?.action, { kind: 'push', digest: C });
  const [other] = (await look({ ...scene, unsent: [C] })).found.actions;
  assert.deepEqual(other?.action, { kind: 'take', digest: B, loser: C });
  // Nothing is to be moved any more; that both agree is to be noted.
  const done = { parent: { v1: B }, layer: { v1: B }, unsent: [B] };
  assert.deepEqual((await look(done)).actions, ['agree v1']);
});

test('a tag that is as it was here was moved at the parent, though its content was put here as well', async () => {
  const parent = { latest: B, stable: B };
  const scene = { parent, base: { latest: A }, layer: { latest: A, v2: B }, unsent: [B] };
  assert.deepEqual((await look(scene)).actions, ['take latest', 'take stable', 'push v2']);
});

test('a tag that the list of the parent leaves out goes only if it is not there', async () => {
  const base = { v1: A, v2: A, v3: A, v4: A };
  const { v2: _, ...layer } = base;
  const { actions } = await look({
    parent: { v1: A, v2: A, v3: B },
    unlisted: ['v1', 'v2', 'v3'],
    base,
    layer,
  });
  assert.deepEqual(actions, ['withdraw v2', 'take v3', 'drop v4']);
});
