import { batches } from '#proto/async/batches.ts';
import { each } from '#proto/async/each.ts';
import { missingManifests } from '#proto/content/manifests.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { type Digest, isTag, type Repository, type Tag } from '#proto/oci/names.ts';
import { bases, localTags } from '../context/lists.ts';
import type { RepositoryChanges } from '../context/parent-changes.ts';
import type { PassContext } from '../context/pass-context.ts';
import { placeholder } from '../context/placeholder.ts';
import { type Action, planTag, type Views } from '../context/plan.ts';
import { subjectOfTag } from '../select/referrer-filter.ts';
import { selectedTags } from '../select/tag-filter.ts';

/**
 * What a pass has to do: the differences between parent and layer.
 *
 * The parent's changes come from its feed (`change-cursor.ts`) or, at an Azure Container Registry, from its metadata
 * (`acr-change-scan.ts`, `acr-changes.ts`); without either, everything is compared. `repositories.ts` lists the repositories to
 * look at, and `compare.ts` surveys each. A survey collects the targets of each tag in the base, the layer and the
 * parent, plans the actions, and serves `pull/` and `push/` for the rest of the pass. Once the pass has succeeded, the
 * cursor or the marks are stored.
 */

export type Selected = Configuration['repositories'][number];

export type TagAction = { tag: Tag; views: Views; action: Action };

/** Result of comparing one repository: the actions, and the content on which both sides agree. */
export type Survey = {
  repository: Repository;
  selected: Selected;
  /** Number of tags compared. */
  tags: number;
  actions: TagAction[];
  /** Targets of tags on which both sides agree: they may have new referrers. */
  settled: Digest[];
  /** Targets of the parent's tags, as far as they were resolved, at `at` or later; `whole`: of all its tags. */
  at: number;
  parentTargets: ReadonlyMap<Tag, Digest>;
  complete: boolean;
  /** Parent tags that still point at a placeholder left by an interrupted withdrawal. */
  placeholders: Tag[];
  /** Lists of referrers that are stored under tags, for parents without the referrers API. */
  lists: ReadonlySet<Digest>;
  /** Targets of the layer's tags. */
  here: ReadonlySet<Digest>;
};

/** Max requests to the parent in parallel. */
const MAX_PARALLEL = 8;
/** Max digests per request to storage. */
const PAGE = 1_000;

/**
 * Compares parent and layer, tag by tag. With a scope, only its tags are compared, and only for changes made here:
 * whether the parent deleted a tag is decided only with the list of all its tags. Changes that the parent reported are
 * taken as its state, and compared together with the changes made here.
 * @param part scope of the request, or changes that the parent reported; everything if absent
 * @throws Fault
 */
export async function survey(
  context: PassContext,
  repository: Repository,
  selected: Selected,
  part?: ReadonlySet<string> | RepositoryChanges,
): Promise<Survey> {
  const { bus, configuration, unsentChanges, signal } = context;
  const { mode } = configuration;
  // The layer is read first: the condition of each action detects changes made here meanwhile.
  const layer = await localTags(bus, repository, signal);
  const base = await bases(bus, repository, signal);
  const changed = (tag: Tag) => mode === 'ReadWrite' && layer.get(tag) !== base.get(tag);
  // A manifest to be deleted at the parent may be the target of any of its tags.
  const needsAllTags = unsentChanges.withdrawn(repository).length > 0;
  const parentTags = new ParentTags(context, repository);
  const at = Date.now();
  const scope = part && !('tags' in part) ? part : undefined;
  // Filters and deletions at the parent depend on all tags: reported changes do not suffice.
  const canFollow = !needsAllTags && !selected.tags && selected.referrers !== false;
  const reported = part && 'tags' in part && canFollow ? part : undefined;
  const known = new Set([...layer.keys(), ...base.keys()]);
  const compared = reported
    ? [...new Set([...reported.tags.keys(), ...[...known].filter(changed)])]
    : scope && [...scope].filter(isTag);
  if (reported) parentTags.addReported(reported.tags);
  const listed = !compared || needsAllTags ? await context.parent.tags(repository, signal) : compared;
  let wanted = new Set<Tag>();
  if (compared) await parentTags.resolve(compared);
  else if (listed) wanted = await wantedTags(parentTags, listed, layer, selected);
  if (listed) await parentTags.resolve(needsAllTags ? listed : listed.filter(changed));

  const names = new Set(listed);
  // A list may end early: a tag with a base that it lacks is resolved by name before it counts as deleted.
  const unlisted = [...base.keys()].filter((tag) => !names.has(tag));
  if (listed ? !compared : needsAllTags) await parentTags.resolve(unlisted);
  const all = [...new Set(compared ?? [...layer.keys(), ...base.keys(), ...names])].sort();
  const actions: TagAction[] = [];
  const settled = new Set<Digest>();
  const unsentHere = new Set(
    unsentChanges.unsent(repository).flatMap(({ digest, unknownOrigin }) => (unknownOrigin ? [] : [digest])),
  );
  for (const tag of all) {
    // A placeholder means that the tag is deleted, on either side.
    const isPlaceholder = parentTags.placeholders.has(tag);
    const excluded = !compared && names.has(tag) && !wanted.has(tag) && !isPlaceholder;
    const views = { base: base.get(tag), layer: layer.get(tag), parent: parentTags.targets.get(tag) };
    const action = planTag(recoverPush(views, unsentHere), {
      mode,
      conflict: selected.conflict,
      excluded,
      // Listed but not resolvable: deleted meanwhile, or its manifest was lost on the way; the next list decides. A
      // repository that the parent does not know at all may be due to an empty volume there.
      unsure: reported
        ? !reported.tags.has(tag)
        : scope !== undefined || !listed || (names.has(tag) && !isPlaceholder),
    });
    if (action && (!scope || isPush(action))) actions.push({ tag, views, action });
    if (!compared && views.layer && views.layer === views.parent && !excluded) settled.add(views.layer);
  }
  if (reported)
    for (const digest of await filterExisting(context, repository, reported.around)) settled.add(digest);
  return {
    repository,
    selected,
    tags: all.length,
    actions: actions,
    settled: [...settled],
    at,
    parentTargets: parentTags.targets,
    // A parent may not know a repository without tags.
    complete: listed
      ? needsAllTags || (!compared && [...names].every((tag) => parentTags.knows(tag)))
      : needsAllTags && parentTags.targets.size === 0,
    placeholders: [...parentTags.placeholders],
    lists: new Set(
      [...parentTags.targets, ...layer].flatMap(([tag, digest]) => (isList(tag) ? [digest] : [])),
    ),
    here: new Set(layer.values()),
  };
}

/**
 * If a tag of the parent points to a manifest that is unsent, an interrupted pass of this layer pushed it without
 * recording the base: its target is taken as the base. Not if the tag is unchanged here, as another client of the
 * parent may have pushed the same content.
 */
const recoverPush = (views: Views, unsentHere: ReadonlySet<Digest>): Views =>
  views.parent !== undefined &&
  unsentHere.has(views.parent) &&
  // If layer and parent are equal, the plan records the base (`agree`).
  views.layer !== views.parent &&
  views.layer !== views.base
    ? { ...views, base: views.parent }
    : views;

const isList = (tag: Tag): boolean => subjectOfTag(tag)?.replace(':', '-') === tag;

const isPush = ({ kind, loser }: Action): boolean =>
  kind === 'push' || kind === 'withdraw' || kind === 'agree' || loser !== undefined;

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

/** Targets of the parent's tags. Each tag is resolved once. */
class ParentTags {
  readonly targets = new Map<Tag, Digest>();
  readonly placeholders = new Set<Tag>();
  readonly #resolved = new Set<Tag>();
  readonly #context: PassContext;
  readonly #repository: Repository;

  constructor(context: PassContext, repository: Repository) {
    this.#context = context;
    this.#repository = repository;
  }

  addReported(tags: ReadonlyMap<Tag, Digest | null>): void {
    for (const [tag, digest] of tags) this.#add(tag, digest ?? undefined);
  }

  knows = (tag: Tag): boolean => this.#resolved.has(tag);

  async resolve(tags: Iterable<Tag>): Promise<void> {
    const { parent, signal } = this.#context;
    const fresh = [...new Set(tags)].filter((tag) => !this.#resolved.has(tag));
    await each(fresh, MAX_PARALLEL, async (tag) => {
      const digest = await parent.resolve(this.#repository, tag, signal);
      this.#add(tag, digest);
    });
  }

  #add(tag: Tag, digest: Digest | undefined): void {
    this.#resolved.add(tag);
    if (digest === placeholder(this.#repository, tag).digest) this.placeholders.add(tag);
    else if (digest) this.targets.set(tag, digest);
  }
}

/**
 * The parent's tags that the selection covers, resolved. A tag about a manifest (`subjectOfTag`) is selected with it:
 * the tag of a signature with the image, and the tag of the signature's own signature with the signature.
 */
async function wantedTags(
  parentTags: ParentTags,
  listed: Tag[],
  layer: ReadonlyMap<Tag, Digest>,
  { tags: filter, referrers }: Selected,
): Promise<Set<Tag>> {
  const about = listed.filter((tag) => subjectOfTag(tag) !== undefined);
  const wanted = await selectedTags(
    filter,
    listed.filter((tag) => subjectOfTag(tag) === undefined),
  );
  await parentTags.resolve(wanted);
  if (referrers === false) return wanted;
  if (!filter) {
    await parentTags.resolve(about);
    return new Set([...wanted, ...about]);
  }
  const bySubject = Map.groupBy(about, (tag) => subjectOfTag(tag) as Digest);
  const followed = new Set<Digest>();
  for (let subjects = [...layer.values(), ...targetsOf(parentTags, wanted)]; subjects.length > 0; ) {
    const fresh = new Set(subjects.filter((digest) => !followed.has(digest)));
    for (const digest of fresh) followed.add(digest);
    const more = [...fresh].flatMap((digest) => bySubject.get(digest) ?? []);
    for (const tag of more) wanted.add(tag);
    await parentTags.resolve(more);
    subjects = targetsOf(parentTags, more);
  }
  return wanted;
}

const targetsOf = ({ targets }: ParentTags, tags: Iterable<Tag>): Digest[] =>
  [...tags].flatMap((tag) => targets.get(tag) ?? []);
