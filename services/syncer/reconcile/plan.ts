import type { Static } from '@sinclair/typebox';
import type { Mode } from '#proto/configuration.ts';
import type { Digest } from '#proto/names.ts';
import type { ActionKind } from '#proto/passes.ts';

/** What a tag points to in three places; `undefined` where there is no such tag. */
export type Views = {
  /** When parent and layer last agreed. */
  base: Digest | undefined;
  layer: Digest | undefined;
  parent: Digest | undefined;
};

export type Rules = { mode: Mode; conflict: 'parent-wins' | 'layer-wins' };

export type Action = {
  kind: Static<typeof ActionKind>;
  /** What the tag points to afterwards, on both sides. */
  digest: Digest | undefined;
  /** Content that loses a conflict, to be kept under a tag of its own. */
  loser?: Digest;
};

/**
 * The whole of reconciliation for one tag: three-way, as a pure function.
 *
 *   layer = parent           nothing, or `agree` where the base does not say so yet
 *   layer = base             the parent changed: `take` its content, or `drop` the tag
 *   parent = base            the layer changed: `push` its content, or `withdraw` the tag (ReadWrite only)
 *   all three differ         content beats a deletion; of two contents the policy's winner stays and the other one
 *                            is the loser, kept under a tag of its own
 *
 * A ReadOnly layer never changes its parent. What it holds that was never agreed on (it was ReadWrite once) is kept:
 * under its own tag where the parent has none of that name, else as a loser.
 *
 * @returns undefined where there is nothing to do
 */
export function planTag({ base, layer, parent }: Views, { mode, conflict }: Rules): Action | undefined {
  if (layer === parent) return layer === base ? undefined : { kind: 'agree', digest: layer };
  if (layer === base) return fromParent(parent);
  if (mode === 'ReadOnly') {
    if (layer === undefined) return fromParent(parent);
    return parent === undefined ? undefined : { ...fromParent(parent), loser: layer };
  }
  if (parent === base) return fromLayer(layer);
  if (parent === undefined) return fromLayer(layer);
  if (layer === undefined) return fromParent(parent);
  return conflict === 'parent-wins'
    ? { ...fromParent(parent), loser: layer }
    : { ...fromLayer(layer), loser: parent };
}

const fromParent = (digest: Digest | undefined): Action => ({ kind: digest ? 'take' : 'drop', digest });
const fromLayer = (digest: Digest | undefined): Action => ({ kind: digest ? 'push' : 'withdraw', digest });

/** The tag under which the loser of a conflict stays reachable. */
export function loserTag(tag: string, layer: string, loser: Digest): string {
  const ending = `.conflict-${layer}-${loser.slice(loser.indexOf(':') + 1).slice(0, 12)}`;
  return tag.slice(0, 128 - ending.length) + ending;
}
