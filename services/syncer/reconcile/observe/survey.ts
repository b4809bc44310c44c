import { batches } from '#proto/async/batches.ts';
import { each } from '#proto/async/each.ts';
import { missingManifests } from '#proto/content/manifests.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { type Digest, isTag, type Repository, type Tag } from '#proto/oci/names.ts';
import { bases, localTags } from '../context/lists.ts';
import type { Told } from '../context/parent-changes.ts';
import type { PassContext } from '../context/pass-context.ts';
import { placeholder } from '../context/placeholder.ts';
import { type Action, planTag, type Views } from '../context/plan.ts';
import { subjectOfTag } from '../select/referrer-filter.ts';
import { selectedTags } from '../select/tag-filter.ts';

export type Selected = Configuration['repositories'][number];

export type TagAction = { tag: Tag; views: Views; action: Action };

/** What is to be done in one repository, and what is in order already. */
export type Survey = {
  repository: Repository;
  selected: Selected;
  tags: number;
  actions: TagAction[];
  /** What tags on which both sides agree point to: their referrers may have grown. */
  settled: Digest[];
  /** What tags of the parent point to, as far as it was asked, not before `at`; `whole`: all of them. */
  at: number;
  above: ReadonlyMap<Tag, Digest>;
  whole: boolean;
  /** Tags of the parent of which only the place is left that a withdrawal put there and did not live to take away. */
  places: Tag[];
  /** Lists of referrers, as a parent without a list of its own keeps them under tags. */
  lists: ReadonlySet<Digest>;
  /** What tags of the layer point to. */
  here: ReadonlySet<Digest>;
};

/** Requests to the parent at a time. */
const AT_ONCE = 8;
/** Digests in one request to storage. */
const PAGE = 1_000;

/**
 * Compares parent and layer, tag by tag. With a scope only its tags are compared, and only for what changed here:
 * that a tag went from the parent is decided where all of its tags are listed. Where the parent told what changed
 * there, that is taken for what it has, and compared with what changed here.
 * @throws Fault
 */
export async function survey(
  context: PassContext,
  repository: Repository,
  selected: Selected,
  part?: ReadonlySet<string> | Told,
): Promise<Survey> {
  const { bus, configuration, unsentChanges, signal } = context;
  const { mode } = configuration;
  // The layer first: what changes here meanwhile is caught by the condition on each change.
  const layer = await localTags(bus, repository, signal);
  const base = await bases(bus, repository, signal);
  const changed = (tag: Tag) => mode === 'ReadWrite' && layer.get(tag) !== base.get(tag);
  // What goes at the parent may be what any of its tags points to.
  const whole = unsentChanges.withdrawn(repository).length > 0;
  const asked = new Asked(context, repository);
  const at = Date.now();
  const scope = part && !('tags' in part) ? part : undefined;
  // Which tags a filter wants depends on all of them, and so does what may go at the parent.
  const followed = !whole && !selected.tags && selected.referrers !== false;
  const told = part && 'tags' in part && followed ? part : undefined;
  const known = new Set([...layer.keys(), ...base.keys()]);
  const some = told
    ? [...new Set([...told.tags.keys(), ...[...known].filter(changed)])]
    : scope && [...scope].filter(isTag);
  if (told) asked.tell(told.tags);
  const listed = !some || whole ? await context.parent.tags(repository, signal) : some;
  let wanted = new Set<Tag>();
  if (some) await asked.resolve(some);
  else if (listed) wanted = await wantedTags(asked, listed, layer, selected);
  if (listed) await asked.resolve(whole ? listed : listed.filter(changed));

  const names = new Set(listed);
  // A list may end early: what both had and it leaves out is asked for by name before it goes.
  const unlisted = [...base.keys()].filter((tag) => !names.has(tag));
  if (listed ? !some : whole) await asked.resolve(unlisted);
  const all = [...new Set(some ?? [...layer.keys(), ...base.keys(), ...names])].sort();
  const found: TagAction[] = [];
  const settled = new Set<Digest>();
  const own = new Set(
    unsentChanges.unsent(repository).flatMap(({ digest, found }) => (found ? [] : [digest])),
  );
  for (const tag of all) {
    // Whether it went from here or there, its place says that it is gone.
    const gone = asked.gone.has(tag);
    const excluded = !some && names.has(tag) && !wanted.has(tag) && !gone;
    const views = { base: base.get(tag), layer: layer.get(tag), parent: asked.above.get(tag) };
    const action = planTag(sentBefore(views, own), {
      mode,
      conflict: selected.conflict,
      excluded,
      // Listed, yet not there: the next list tells whether it went, or somebody on the way lost its manifest. A
      // repository that the parent does not know at all may as well be an empty volume there.
      unsure: told ? !told.tags.has(tag) : scope !== undefined || !listed || (names.has(tag) && !gone),
    });
    if (action && (!scope || goesUp(action))) found.push({ tag, views, action });
    if (!some && views.layer && views.layer === views.parent && !excluded) settled.add(views.layer);
  }
  if (told) for (const digest of await here(context, repository, told.around)) settled.add(digest);
  return {
    repository,
    selected,
    tags: all.length,
    actions: found,
    settled: [...settled],
    at,
    above: asked.above,
    // A parent may know no repository in which nothing has a tag.
    whole: listed
      ? whole || (!some && [...names].every((tag) => asked.knows(tag)))
      : whole && asked.above.size === 0,
    places: [...asked.gone],
    lists: new Set([...asked.above, ...layer].flatMap(([tag, digest]) => (isList(tag) ? [digest] : []))),
    here: new Set(layer.values()),
  };
}

/**
 * A tag of the parent that points to what a client put here, and that the parent was not known to have: it was moved
 * by this layer, which did not live to note it. Where the tag is as it was here, another client of the parent may
 * have put the same content there and moved it.
 */
const sentBefore = (views: Views, own: ReadonlySet<Digest>): Views =>
  views.parent !== undefined &&
  own.has(views.parent) &&
  // As it is here, it is still to be noted that both agree.
  views.layer !== views.parent &&
  views.layer !== views.base
    ? { ...views, base: views.parent }
    : views;

const isList = (tag: Tag): boolean => subjectOfTag(tag)?.replace(':', '-') === tag;

const goesUp = ({ kind, loser }: Action): boolean =>
  kind === 'push' || kind === 'withdraw' || kind === 'agree' || loser !== undefined;

/** Those of the manifests that the repository has. */
async function here(
  { bus, signal }: PassContext,
  repository: Repository,
  digests: ReadonlySet<Digest>,
): Promise<Digest[]> {
  const found: Digest[] = [];
  for (const some of batches([...digests], PAGE)) {
    const missing = await bus.call(missingManifests, { repository, digests: some }, { signal });
    const absent = new Set(missing.digests);
    for (const digest of some) if (!absent.has(digest)) found.push(digest);
  }
  return found;
}

/** What the parent's tags point to, each asked for once. */
class Asked {
  readonly above = new Map<Tag, Digest>();
  readonly gone = new Set<Tag>();
  readonly #asked = new Set<Tag>();
  readonly #context: PassContext;
  readonly #repository: Repository;

  constructor(context: PassContext, repository: Repository) {
    this.#context = context;
    this.#repository = repository;
  }

  tell(tags: ReadonlyMap<Tag, Digest | null>): void {
    for (const [tag, digest] of tags) this.#take(tag, digest ?? undefined);
  }

  knows = (tag: Tag): boolean => this.#asked.has(tag);

  async resolve(tags: Iterable<Tag>): Promise<void> {
    const { parent, signal } = this.#context;
    const fresh = [...new Set(tags)].filter((tag) => !this.#asked.has(tag));
    await each(fresh, AT_ONCE, async (tag) => {
      const digest = await parent.resolve(this.#repository, tag, signal);
      this.#take(tag, digest);
    });
  }

  #take(tag: Tag, digest: Digest | undefined): void {
    this.#asked.add(tag);
    if (digest === placeholder(this.#repository, tag).digest) this.gone.add(tag);
    else if (digest) this.above.set(tag, digest);
  }
}

/**
 * The tags of the parent that the selection asks for, resolved. Tags that are about a manifest follow it: that of a
 * signature is wanted where the image is, and that of the signature's own signature too.
 */
async function wantedTags(
  asked: Asked,
  listed: Tag[],
  layer: ReadonlyMap<Tag, Digest>,
  { tags: filter, referrers }: Selected,
): Promise<Set<Tag>> {
  const about = listed.filter((tag) => subjectOfTag(tag) !== undefined);
  const wanted = await selectedTags(
    filter,
    listed.filter((tag) => subjectOfTag(tag) === undefined),
  );
  await asked.resolve(wanted);
  if (referrers === false) return wanted;
  if (!filter) {
    await asked.resolve(about);
    return new Set([...wanted, ...about]);
  }
  const bySubject = Map.groupBy(about, (tag) => subjectOfTag(tag) as Digest);
  const followed = new Set<Digest>();
  for (let subjects = [...layer.values(), ...targets(asked, wanted)]; subjects.length > 0; ) {
    const fresh = new Set(subjects.filter((digest) => !followed.has(digest)));
    for (const digest of fresh) followed.add(digest);
    const more = [...fresh].flatMap((digest) => bySubject.get(digest) ?? []);
    for (const tag of more) wanted.add(tag);
    await asked.resolve(more);
    subjects = targets(asked, more);
  }
  return wanted;
}

const targets = ({ above }: Asked, tags: Iterable<Tag>): Digest[] =>
  [...tags].flatMap((tag) => above.get(tag) ?? []);
