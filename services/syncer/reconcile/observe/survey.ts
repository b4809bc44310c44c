import { batches } from '#proto/async/batches.ts';
import { EVERY_MANIFEST } from '#proto/content/left-out-referrers.ts';
import { missingManifests } from '#proto/content/manifests.ts';
import { clip } from '#proto/contract/clip.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import type { SendingTag } from '#proto/sync/outgoing.ts';
import type { Failure } from '#proto/sync/passes.ts';
import { readBases, readLocalTags } from '../context/lists.ts';
import type { PassContext } from '../context/pass-context.ts';
import { subjectOfTag } from '../select/referrer-filter.ts';
import { selectedNames } from '../select/tag-filter.ts';
import { type LostTag, refusedReferrers, tagWithInvalidName, tagWithoutManifest } from './lost-tag.ts';
import { ParentTags, resolveWantedTags } from './parent-tags.ts';
import {
  type Candidates,
  type Coverage,
  coverageOf,
  isChanged,
  type LocalTags,
  type ObservedParent,
  planRepository,
  type TagAction,
} from './plan-repository.ts';
import { prepareConnections } from './prepare-connections.ts';
import { similarTargets } from './similar-tags.ts';

/**
 * What a pass has to do: the differences between parent and layer.
 *
 * The parent's changes come from its feed (`change-cursor.ts`) or, at an Azure Container Registry, from its metadata
 * (`acr-change-scan.ts`, `acr-changes.ts`); without either, everything is compared. `repositories.ts` lists the
 * repositories to look at, and `compare.ts` surveys each. A survey (this file) reads the targets of each tag in the
 * base, the layer and the parent (`parent-tags.ts`); two pure functions decide: `plan-repository.ts` which tags are
 * compared, `proto/sync/plan-tag.ts` the action for each. The survey serves `pull/` and `push/` for the rest of the
 * pass. Once the pass has succeeded, the cursor or the marks are stored.
 */

export type Selected = Configuration['repositories'][number];

/** Result of comparing one repository: the actions, and the content on which both sides agree. */
export type Survey = {
  repository: Repository;
  selected: Selected;
  /** Number of tags compared, and of those that the parent has. */
  tags: number;
  parentTags: number;
  /** All tags of the repository are compared. */
  isAllCompared: boolean;
  /** If not, and the parent reported its changes: the tags that were compared. */
  comparedTags: readonly Tag[];
  /** Why some tags could not be: the first of these failures. */
  failure?: Failure;
  /** The parent does not know the repository, although both had agreed on a tag of it. Known if all is compared. */
  isMissing: boolean;
  actions: TagAction[];
  /** Records of what was being sent that are of no use any more. */
  obsolete: readonly SendingTag[];
  /** Targets of tags on which both sides agree: they may have new referrers. */
  settled: Digest[];
  /** Targets of the parent's tags, as far as they were resolved, at `at` or later; `hasAllTags`: of all its tags. */
  at: number;
  parentTargets: ReadonlyMap<Tag, Digest>;
  hasAllTags: boolean;
  /** Parent tags that still point at a placeholder left by an interrupted withdrawal. */
  placeholders: Tag[];
  /** Lists of referrers that are stored under tags, for parents without the referrers API. */
  lists: ReadonlySet<Digest>;
  /** Selected tags that the parent lists, and that can't be here. */
  lost: LostTag[];
  /** Targets of the layer's tags. */
  here: ReadonlySet<Digest>;
  /** The layer's tags that pointed to it. */
  tagsOf: (digest: Digest) => readonly Tag[];
  /** Targets of the layer's tags that the target of this one may resemble. */
  similarTo: (tag: Tag) => Digest[];
};

/** Max digests per request to storage. */
const PAGE = 1_000;

/**
 * Compares parent and layer, tag by tag. With a scope, only its tags are compared, and only for changes made here:
 * whether the parent deleted a tag is decided only with the list of all its tags. Changes that the parent reported are
 * taken as its state, and compared together with the changes made here.
 * @param candidates everything if absent
 * @throws Fault
 */
export async function surveyRepository(
  context: PassContext,
  repository: Repository,
  selected: Selected,
  candidates?: Candidates,
): Promise<Survey> {
  const { bus, configuration, unsentChanges, signal } = context;
  const { mode } = configuration;
  // The layer is read first: the condition of each action detects changes made here meanwhile.
  const layer = await readLocalTags(bus, repository, signal);
  const base = await readBases(bus, repository, signal);
  const local = { layer, base, sending: unsentChanges.sending(repository) };
  const needsAllTags = unsentChanges.withdrawn(repository).length > 0;
  const isAllReported =
    candidates !== undefined && 'tags' in candidates && candidates.around.has(EVERY_MANIFEST);
  const canFollow = !needsAllTags && !selected.tags && selected.referrers !== false && !isAllReported;
  const at = performance.now();
  const coverage = coverageOf(local, mode, candidates, canFollow);
  const reported =
    candidates && 'tags' in candidates && coverage.kind === 'reported' ? candidates : undefined;
  const parentTags = new ParentTags(context, repository);
  // What was read before a change was sent is older than its record.
  if (reported) {
    const { sending } = local;
    parentTags.addReported(new Map([...reported.tags].filter(([tag]) => !sending.has(tag))));
  }
  const isPushed = (tag: Tag) => isChanged(local, mode, tag);
  const parent = await readParent(context, parentTags, {
    repository,
    selected,
    local,
    coverage,
    needsAllTags,
    isPushed,
  });
  const refusedLists: LostTag[] = [];
  let failure: Failure | undefined;
  for (const [tag, fault] of parentTags.refused) {
    if (subjectOfTag(tag) !== undefined) {
      refusedLists.push(refusedReferrers(tag, fault));
      continue;
    }
    const failed = context.stats.fail({ repository, tag }, fault);
    failure ??= failed;
  }
  const unsent = unsentChanges.unsent(repository).filter(({ unknownOrigin }) => !unknownOrigin);
  const plan = planRepository(
    { ...local, coverage, parent, needsAllTags, unsent: new Set(unsent.map(({ digest }) => digest)) },
    { mode, conflict: selected.conflict },
  );
  const around = reported ? await filterExisting(context, repository, reported.around) : [];
  const hasNoManifest = (tag: Tag) =>
    parent.resolved.has(tag) && !parent.targets.has(tag) && !parent.placeholders.has(tag);
  const invalid = await selectedNames(parent.invalid, selected);
  return {
    repository,
    selected,
    ...plan,
    obsolete: [...plan.obsolete].map(([tag, digest]) => ({ repository, tag, digest })),
    isAllCompared: coverage.kind === 'all',
    comparedTags: coverage.kind === 'reported' ? coverage.tags : [],
    ...(failure && { failure }),
    parentTags:
      coverage.kind === 'all'
        ? [...parent.wanted].filter((tag) => !parent.placeholders.has(tag)).length + invalid.length
        : parent.targets.size,
    isMissing: coverage.kind === 'all' && !parent.listed && base.size > 0,
    settled: [...new Set([...plan.settled, ...around])],
    at,
    parentTargets: parent.targets,
    placeholders: [...parent.placeholders],
    lost: [
      ...[...parent.wanted].filter(hasNoManifest).map((tag) => tagWithoutManifest(repository, tag)),
      ...refusedLists,
      ...invalid.map(tagWithInvalidName),
    ],
    here: new Set(layer.values()),
    tagsOf: tagsByTarget(layer),
    similarTo: similarTargets(layer),
  };
}

/** The tags of each target, which are grouped when they are first asked for. */
function tagsByTarget(layer: ReadonlyMap<Tag, Digest>): Survey['tagsOf'] {
  let byTarget: Map<Digest, [Tag, Digest][]> | undefined;
  return (digest) => {
    byTarget ??= Map.groupBy(layer, ([, target]) => target);
    return (byTarget.get(digest) ?? []).map(([tag]) => tag);
  };
}

/** Max names in a list that are no tags, and max characters of each, that are reported. */
const MAX_INVALID = 10_000;
const MAX_INVALID_LENGTH = 300;

type Reading = {
  repository: Repository;
  selected: Selected;
  local: LocalTags;
  coverage: Coverage;
  needsAllTags: boolean;
  /** Whether the tag was changed here, and its target at the parent matters although the selection excludes it. */
  isPushed: (tag: Tag) => boolean;
};

/** Lists the parent's tags where that is needed, and resolves those that are compared. */
async function readParent(
  context: PassContext,
  parentTags: ParentTags,
  { repository, selected, local, coverage, needsAllTags, isPushed }: Reading,
): Promise<ObservedParent & { invalid: string[] }> {
  const { prefetch } = context;
  const { layer, base, sending } = local;
  const invalid: string[] = [];
  const compared = coverage.kind === 'all' ? undefined : coverage.tags;
  const listed =
    !compared || needsAllTags
      ? await prefetch.tags(repository, (name) => {
          if (invalid.length < MAX_INVALID) invalid.push(clip(name, MAX_INVALID_LENGTH));
        })
      : compared;
  let wanted = new Set<Tag>();
  // Content will be pulled for tags that are new: the connections for it open while the tags are resolved.
  if (!selected.tags && listed?.some((tag) => !layer.has(tag))) prepareConnections(context);
  if (compared) await parentTags.resolve(compared);
  else if (listed) wanted = await resolveWantedTags(parentTags, listed, local, selected);
  if (listed) await parentTags.resolve(needsAllTags ? listed : listed.filter(isPushed));
  // A list may end early: a tag that it lacks and may have had is resolved by name before it counts as deleted.
  const names = new Set(listed);
  const unlisted = [...new Set([...base.keys(), ...sending.keys()])].filter((tag) => !names.has(tag));
  if (listed ? !compared : needsAllTags) await parentTags.resolveUnlisted(unlisted);
  // A repository that the parent does not list may have the tag all the same, or have lost it with the last one.
  else if (!compared) await parentTags.resolveUnlisted([...sending.keys()]);
  const { targets, placeholders, resolved } = parentTags;
  return { targets, placeholders, resolved, listed, wanted, invalid: compared ? [] : invalid };
}

/** Returns the manifests that the layer's repository has. */
async function filterExisting(
  { bus, signal }: PassContext,
  repository: Repository,
  digests: ReadonlySet<Digest>,
): Promise<Digest[]> {
  const existing: Digest[] = [];
  for (const batch of batches([...digests], PAGE)) {
    const missing = await bus.call(missingManifests, { repository, digests: batch }, { signal });
    const absent = new Set(missing.digests);
    for (const digest of batch) if (!absent.has(digest)) existing.push(digest);
  }
  return existing;
}
