import type { Static } from '@sinclair/typebox';
import type { Conflict } from '#proto/document/selection.ts';
import type { Mode } from '#proto/oci/mode.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { ActionKind } from '#proto/sync/passes.ts';

/** What a tag points to in three places; `undefined` where there is no such tag. */
export type Views = {
  /** When parent and layer last agreed. */
  base: Digest | undefined;
  layer: Digest | undefined;
  parent: Digest | undefined;
};

export type Rules = {
  mode: Mode;
  conflict: Conflict;
  /** The parent has the tag and the filter leaves it out; `parent` counts only where a ReadWrite layer changed it. */
  excluded?: boolean;
  /** A tag that the parent does not show may be there all the same: nothing goes for that. */
  unsure?: boolean;
};

export type Action = {
  kind: Static<typeof ActionKind>;
  /** What the tag points to afterwards, on both sides; on this side only, where it is excluded. */
  digest: Digest | undefined;
  /** Content that loses a conflict, to be kept under a tag of its own on the side that had it. */
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
 * Of an excluded tag nothing is brought: what came of it from the parent goes from a ReadOnly layer and stays in a
 * ReadWrite one, and what a client changed here goes up as any other tag.
 *
 * @returns undefined where there is nothing to do
 */
export function planTag(views: Views, rules: Rules): Action | undefined {
  const { base, layer, parent } = views;
  if (rules.unsure && parent === undefined && !rules.excluded) {
    return rules.mode === 'ReadWrite' && layer !== undefined && layer !== base ? fromLayer(layer) : undefined;
  }
  if (rules.excluded) return planExcluded(views, rules);
  if (layer === parent) return layer === base ? undefined : { kind: 'agree', digest: layer };
  if (layer === base) return fromParent(parent);
  if (rules.mode === 'ReadOnly') {
    if (layer === undefined) return fromParent(parent);
    return parent === undefined ? undefined : { ...fromParent(parent), loser: layer };
  }
  return changedHere(views, rules);
}

function planExcluded(views: Views, rules: Rules): Action | undefined {
  const { base, layer, parent } = views;
  // Gone here, and not to be brought again: there is no more to agree on.
  const forget: Action = { kind: 'agree', digest: undefined };
  if (rules.mode === 'ReadOnly') {
    if (layer === undefined) return base === undefined ? undefined : forget;
    return layer === base ? { kind: 'drop', digest: undefined } : undefined;
  }
  if (layer === base) return undefined;
  if (layer === parent) return { kind: 'agree', digest: layer };
  return layer === undefined && parent !== base ? forget : changedHere(views, rules);
}

/** ReadWrite, and the layer is neither as the base nor as the parent. */
function changedHere({ base, layer, parent }: Views, { conflict }: Rules): Action {
  if (parent === base || parent === undefined) return fromLayer(layer);
  if (layer === undefined) return fromParent(parent);
  return conflict === 'parent-wins'
    ? { ...fromParent(parent), loser: layer }
    : { ...fromLayer(layer), loser: parent };
}

const fromParent = (digest: Digest | undefined): Action => ({ kind: digest ? 'take' : 'drop', digest });
const fromLayer = (digest: Digest | undefined): Action => ({ kind: digest ? 'push' : 'withdraw', digest });

const LOSER = /\.conflict-[a-z0-9-]+-[0-9a-f]{12}$/;

/**
 * The tag under which the loser of a conflict stays reachable. That of a tag which is itself a loser's takes its
 * place, so that the names do not grow.
 */
export function loserTag(tag: string, layer: string, loser: Digest): string {
  const ending = `.conflict-${layer}-${loser.slice(loser.indexOf(':') + 1).slice(0, 12)}`;
  return tag.replace(LOSER, '').slice(0, 128 - ending.length) + ending;
}
