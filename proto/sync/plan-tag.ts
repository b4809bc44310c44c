import type { Static } from '../contract/schema.ts';
import type { ConflictPolicy } from '../document/selection.ts';
import type { Mode } from '../oci/mode.ts';
import type { Digest } from '../oci/names.ts';
import type { ActionKind } from './passes.ts';

/** Targets of a tag in three places; `undefined` if the tag does not exist. */
export type Views = {
  /** Target when parent and layer last agreed. */
  base: Digest | undefined;
  layer: Digest | undefined;
  parent: Digest | undefined;
};

export type PlanRules = {
  mode: Mode;
  conflict: ConflictPolicy;
  /** The parent has the tag, but the filter excludes it; `parent` matters only if a ReadWrite layer changed it. */
  excluded?: boolean;
  /** A tag that is missing at the parent may exist there: its absence does not delete it here. */
  unsure?: boolean;
};

export type PlannedAction = {
  kind: Static<typeof ActionKind>;
  /** Target of the tag afterwards, on both sides; if it is excluded, on this side only. */
  digest: Digest | undefined;
  /** Content that loses a conflict. It gets a conflict tag on the side that had it. */
  loser?: Digest;
};

/**
 * Reconciliation of one tag: a three-way comparison, as a pure function.
 *
 *   layer = parent           no action, or `agree` if the base is not up to date
 *   layer = base             the parent changed: `take` its content, or `drop` the tag
 *   parent = base            the layer changed: `push` its content, or `withdraw` the tag (ReadWrite only)
 *   all three differ         content beats a deletion; of two contents, the policy decides which one wins, and the
 *                            loser gets a conflict tag
 *
 * A ReadOnly layer never changes its parent. Content that was never agreed on (the layer was ReadWrite once) is
 * retained: under its own tag if the parent has no tag of that name, else as a loser.
 *
 * An excluded tag is not pulled. If it was pulled earlier, a ReadOnly layer drops it and a ReadWrite layer retains it.
 * A client's change of it is pushed as for any other tag.
 *
 * @returns undefined if no action is needed
 */
export function planTag(views: Views, rules: PlanRules): PlannedAction | undefined {
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

function planExcluded(views: Views, rules: PlanRules): PlannedAction | undefined {
  const { base, layer, parent } = views;
  // Deleted here and not to be pulled again: the base is deleted.
  const forget: PlannedAction = { kind: 'agree', digest: undefined };
  if (rules.mode === 'ReadOnly') {
    if (layer === undefined) return base === undefined ? undefined : forget;
    return layer === base ? { kind: 'drop', digest: undefined } : undefined;
  }
  if (layer === base) return undefined;
  if (layer === parent) return { kind: 'agree', digest: layer };
  return layer === undefined && parent !== base ? forget : changedHere(views, rules);
}

/** For a ReadWrite layer that differs from both base and parent. */
function changedHere({ base, layer, parent }: Views, { conflict }: PlanRules): PlannedAction {
  if (parent === base || parent === undefined) return fromLayer(layer);
  if (layer === undefined) return fromParent(parent);
  return conflict === 'parent-wins'
    ? { ...fromParent(parent), loser: layer }
    : { ...fromLayer(layer), loser: parent };
}

const fromParent = (digest: Digest | undefined): PlannedAction => ({
  kind: digest ? 'take' : 'drop',
  digest,
});
const fromLayer = (digest: Digest | undefined): PlannedAction => ({
  kind: digest ? 'push' : 'withdraw',
  digest,
});
