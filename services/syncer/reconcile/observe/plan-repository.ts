import type { KnownTag } from '#proto/content/manifests.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { type Digest, isTag, type Tag } from '#proto/oci/names.ts';
import { type PlannedAction, type PlanRules, planTag, type Views } from '#proto/sync/plan-tag.ts';
import type { RepositoryChanges } from '../context/parent-changes.ts';
import { subjectOfTag } from '../select/referrer-filter.ts';

/** Pure: which tags of a repository a pass compares, and what it does about them. `survey.ts` reads what this needs. */

/**
 * Targets of the layer's tags, now and when parent and layer last agreed. `sending`: what an earlier pass may have made
 * of tags at the parent without recording it (`null`: it deleted them).
 */
export type LocalTags = {
  layer: ReadonlyMap<Tag, Digest>;
  base: ReadonlyMap<Tag, Digest>;
  sending: ReadonlyMap<Tag, Digest | null>;
};

/** What may differ: the scope of the request, or the changes that the parent reported. */
export type Candidates = ReadonlySet<string> | RepositoryChanges;

/** Which tags are compared. */
export type Coverage =
  | { kind: 'all' }
  /** What a client changed here. */
  | { kind: 'scope'; tags: readonly Tag[] }
  /** What the parent reported as changed, which is taken as its state, and what was changed here. */
  | { kind: 'reported'; tags: readonly Tag[]; reported: ReadonlySet<Tag> };

/** The parent's tags, as far as they were read. */
export type ObservedParent = {
  targets: ReadonlyMap<Tag, Digest>;
  /** Tags that point at a placeholder. */
  placeholders: ReadonlySet<Tag>;
  /** Tags whose target is known, or known to be missing. */
  resolved: ReadonlySet<Tag>;
  /** Undefined if the parent does not know the repository. What is compared counts as listed if no list was needed. */
  listed: readonly Tag[] | undefined;
  /** Listed tags that the selection covers; only if all tags are compared. */
  wanted: ReadonlySet<Tag>;
};

export type Observation = LocalTags & {
  coverage: Coverage;
  parent: ObservedParent;
  /** A manifest is to be deleted at the parent: it may be the target of any tag there. */
  needsAllTags: boolean;
  /** Manifests that a client put here and that the parent has yet to receive. */
  unsent: ReadonlySet<Digest>;
};

/** `views`: as the action was planned with them; `known`: as storage has the tag, unless another pass changes it. */
export type TagAction = { tag: Tag; views: Views; known: KnownTag; action: PlannedAction };

export type RepositoryPlan = {
  /** Number of tags compared. */
  tags: number;
  actions: TagAction[];
  /** Tags of `sending` whose record is of no use any more, with its target. */
  obsolete: Map<Tag, Digest | null>;
  /** Targets of tags on which both sides agree: they may have new referrers. */
  settled: Set<Digest>;
  /** Whether the targets of all the parent's tags are known. */
  hasAllTags: boolean;
  /** Lists of referrers that are stored under tags, for parents without the referrers API. */
  lists: Set<Digest>;
};

/** What a change of a tag relies on, in a layer that sends changes: the other lane may send one of the same tag. */
export const knownIn = (mode: Mode, { known }: TagAction): { known?: KnownTag } =>
  mode === 'ReadWrite' ? { known } : {};

/** Whether a client changed the tag here, and its change is to be pushed, or may have been. */
export const isChanged = ({ layer, base, sending }: LocalTags, mode: Mode, tag: Tag): boolean =>
  mode === 'ReadWrite' && (layer.get(tag) !== base.get(tag) || sending.has(tag));

/**
 * @param candidates everything if absent
 * @param canFollow whether reported changes suffice: filters and deletions at the parent depend on all tags
 */
export function coverageOf(
  local: LocalTags,
  mode: Mode,
  candidates: Candidates | undefined,
  canFollow: boolean,
): Coverage {
  if (!candidates) return { kind: 'all' };
  if (!('tags' in candidates)) return { kind: 'scope', tags: [...candidates].filter(isTag) };
  if (!canFollow) return { kind: 'all' };
  const reported = new Set(candidates.tags.keys());
  const known = new Set([...local.layer.keys(), ...local.base.keys(), ...local.sending.keys()]);
  const changed = [...known].filter((tag) => isChanged(local, mode, tag));
  return { kind: 'reported', tags: [...new Set([...reported, ...changed])], reported };
}

/** Compares parent and layer, tag by tag. */
export function planRepository(
  observation: Observation,
  { mode, conflict }: Pick<PlanRules, 'mode' | 'conflict'>,
): RepositoryPlan {
  const { layer, base, sending, coverage, parent, needsAllTags, unsent } = observation;
  const { targets, placeholders, resolved, listed, wanted } = parent;
  const names = new Set(listed);
  const isAllCompared = coverage.kind === 'all';
  const compared = isAllCompared
    ? [...layer.keys(), ...base.keys(), ...sending.keys(), ...names]
    : coverage.tags;
  const tags = [...new Set(compared)].sort();
  const actions: TagAction[] = [];
  const obsolete: RepositoryPlan['obsolete'] = new Map();
  const settled = new Set<Digest>();
  for (const tag of tags) {
    // A placeholder means that the tag is deleted, on either side.
    const excluded = isAllCompared && names.has(tag) && !wanted.has(tag) && !placeholders.has(tag);
    const observed = { base: base.get(tag), layer: layer.get(tag), parent: targets.get(tag) };
    const sent = resolved.has(tag) || observed.parent ? sending.get(tag) : undefined;
    const views = recoverSent(recoverPush(observed, unsent), sent);
    // What this layer deleted, and the parent has not, is not missing by mistake.
    const isDeletedByUs = sent === null && observed.parent === undefined;
    const unsure = !isDeletedByUs && isUnsure(coverage, parent, names, tag);
    const rules = { mode, conflict, excluded, unsure };
    const action = planTag(views, rules);
    if (sent !== undefined && (!action || sent !== (views.parent ?? null))) obsolete.set(tag, sent);
    const onRecord = obsolete.has(tag) ? undefined : sending.get(tag);
    const known = {
      base: observed.base ?? null,
      ...(onRecord !== undefined && { sending: onRecord }),
    };
    if (action && (coverage.kind !== 'scope' || isPush(action))) actions.push({ tag, views, known, action });
    if (isAllCompared && views.layer && views.layer === views.parent && !excluded) settled.add(views.layer);
  }
  return {
    tags: tags.length,
    actions,
    obsolete,
    settled,
    // A parent may not know a repository without tags.
    hasAllTags: listed
      ? needsAllTags || (isAllCompared && [...names].every((tag) => resolved.has(tag)))
      : needsAllTags && targets.size === 0,
    lists: new Set([...targets, ...layer].flatMap(([tag, digest]) => (isList(tag) ? [digest] : []))),
  };
}

/**
 * Whether the parent may have the tag although no target is known. Listed but not resolvable: deleted meanwhile, or its
 * manifest was lost on the way; the next list decides. A repository that the parent does not know at all may be due to
 * an empty volume there.
 */
function isUnsure(
  coverage: Coverage,
  { listed, placeholders }: ObservedParent,
  names: ReadonlySet<Tag>,
  tag: Tag,
): boolean {
  if (coverage.kind === 'reported') return !coverage.reported.has(tag);
  return coverage.kind === 'scope' || !listed || (names.has(tag) && !placeholders.has(tag));
}

/**
 * If a tag of the parent points to a manifest that is unsent, an interrupted pass of this layer pushed it without
 * recording the base: its target is taken as the base. Not if the tag is unchanged here, as another client of the
 * parent may have pushed the same content.
 */
const recoverPush = (views: Views, unsent: ReadonlySet<Digest>): Views =>
  views.parent !== undefined &&
  unsent.has(views.parent) &&
  // If layer and parent are equal, the plan records the base (`agree`).
  views.layer !== views.parent &&
  views.layer !== views.base
    ? { ...views, base: views.parent }
    : views;

/**
 * If the parent's tag is as a pass of this layer made it, without recording the base, this is the base: what was
 * changed here since is newer.
 * @param sent undefined if no pass did, or the parent's tag is not known
 */
const recoverSent = (views: Views, sent: Digest | null | undefined): Views =>
  // If layer and parent are equal, the plan records the base (`agree`).
  sent !== undefined && sent === (views.parent ?? null) && views.layer !== views.parent
    ? { ...views, base: views.parent }
    : views;

const isList = (tag: Tag): boolean => subjectOfTag(tag)?.replace(':', '-') === tag;

const isPush = ({ kind, loser }: PlannedAction): boolean =>
  kind === 'push' || kind === 'withdraw' || kind === 'agree' || loser !== undefined;
