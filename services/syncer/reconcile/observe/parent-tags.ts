import { each } from '#proto/async/each.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { taggedPart } from '../context/leave-out.ts';
import type { PassContext } from '../context/pass-context.ts';
import { placeholder } from '../context/placeholder.ts';
import { subjectOfTag } from '../select/referrer-filter.ts';
import { selectedTags } from '../select/tag-filter.ts';
import type { LocalTags } from './plan-repository.ts';

/** Max requests to the parent in parallel. */
const MAX_PARALLEL = 8;
/** Max tags of one list that the parent answers with an error of its own: with more, it has an outage. */
const MAX_ERRORS = 3;

type ReadingContext = Pick<PassContext, 'parent' | 'prefetch' | 'signal' | 'leftOutByParent'>;

/** Targets of the parent's tags. Each tag is resolved once. */
export class ParentTags {
  readonly targets = new Map<Tag, Digest>();
  readonly placeholders = new Set<Tag>();
  /** Tags whose target is known, or known to be missing. */
  readonly resolved = new Set<Tag>();
  /** Listed tags that the parent refuses to resolve, while it resolves others. */
  readonly refused = new Map<Tag, Fault>();
  readonly #context: ReadingContext;
  readonly #repository: Repository;

  constructor(context: ReadingContext, repository: Repository) {
    this.#context = context;
    this.#repository = repository;
  }

  addReported(tags: ReadonlyMap<Tag, Digest | null>): void {
    for (const [tag, digest] of tags) this.#add(tag, digest ?? undefined);
  }

  async resolve(tags: Iterable<Tag>): Promise<void> {
    const { parent, signal } = this.#context;
    const fresh = [...new Set(tags)].filter((tag) => !this.resolved.has(tag));
    await each(fresh, MAX_PARALLEL, async (tag) => {
      const digest = await parent.resolve(this.#repository, tag, signal);
      this.#add(tag, digest);
    });
  }

  /** Requests the manifest of a tag together with its digest. */
  requestManifest(tag: Tag): void {
    this.#context.prefetch.requestManifest(this.#repository, tag);
  }

  /** Resolves tags that the parent does not list. One that counts as deleted is missing for HEAD and for GET. */
  async resolveUnlisted(tags: readonly Tag[]): Promise<void> {
    const { parent, signal } = this.#context;
    await this.resolve(tags);
    await each(
      tags.filter((tag) => this.#isMissing(tag)),
      MAX_PARALLEL,
      async (tag) => {
        try {
          this.#add(tag, (await parent.manifest(this.#repository, tag, signal)).digest);
        } catch (error) {
          if (!Fault.is(error, 'manifest-unknown')) throw error;
        }
      },
    );
  }

  /** Resolves tags that the parent lists. One that it refuses does not keep back the others. */
  async resolveListed(tags: Iterable<Tag>): Promise<void> {
    const { signal } = this.#context;
    let errors = 0;
    await each([...new Set(tags)], MAX_PARALLEL, async (tag) => {
      try {
        await this.resolve([tag]);
        if (this.#isMissing(tag)) await this.#read(tag);
      } catch (error) {
        signal.throwIfAborted();
        const isError = Fault.is(error, 'parent-unreachable') && error.detail?.status !== undefined;
        if (isError) errors += 1;
        if (!(isError ? errors <= MAX_ERRORS : Fault.is(error, 'parent-refused', 'parent-invalid')))
          throw error;
        this.refused.set(tag, error as Fault);
      }
    });
    const [first] = this.refused.values();
    if (first && this.resolved.size === 0) throw first;
  }

  /**
   * Reads the manifest of a listed tag that could not be resolved: HEAD may answer 404 where GET has it. One that is
   * missing is not read again while that is remembered, see `PassCaches.leftOutByParent`.
   */
  async #read(tag: Tag): Promise<void> {
    const { parent, signal, leftOutByParent } = this.#context;
    const part = taggedPart(this.#repository, tag);
    if (leftOutByParent.has(part)) return;
    try {
      const { digest } = await parent.manifest(this.#repository, tag, signal);
      this.#add(tag, digest);
    } catch (error) {
      if (!Fault.is(error, 'manifest-unknown')) {
        this.resolved.delete(tag);
        throw error;
      }
      leftOutByParent.set(part, error);
    }
  }

  #isMissing(tag: Tag): boolean {
    return !this.targets.has(tag) && !this.placeholders.has(tag);
  }

  #add(tag: Tag, digest: Digest | undefined): void {
    this.resolved.add(tag);
    if (digest === placeholder(this.#repository, tag).digest) this.placeholders.add(tag);
    else if (digest) this.targets.set(tag, digest);
  }
}

/**
 * The parent's tags that the selection covers, resolved. A tag about a manifest (`subjectOfTag`) is selected with it:
 * the tag of a signature with the image, and the tag of the signature's own signature with the signature.
 */
export async function resolveWantedTags(
  parentTags: ParentTags,
  listed: readonly Tag[],
  { layer, base }: LocalTags,
  { tags: filter, referrers }: Pick<Configuration['repositories'][number], 'tags' | 'referrers'>,
): Promise<Set<Tag>> {
  const about = listed.filter((tag) => subjectOfTag(tag) !== undefined);
  const wanted = await selectedTags(
    filter,
    listed.filter((tag) => subjectOfTag(tag) === undefined),
  );
  const fresh = [...wanted].find((tag) => !layer.has(tag) && !base.has(tag));
  if (fresh !== undefined) parentTags.requestManifest(fresh);
  await parentTags.resolveListed(wanted);
  if (referrers === false) return wanted;
  if (!filter) {
    await parentTags.resolveListed(about);
    return new Set([...wanted, ...about]);
  }
  const bySubject = Map.groupBy(about, (tag) => subjectOfTag(tag) as Digest);
  const followed = new Set<Digest>();
  for (let subjects = [...layer.values(), ...targetsOf(parentTags, wanted)]; subjects.length > 0; ) {
    const fresh = new Set(subjects.filter((digest) => !followed.has(digest)));
    for (const digest of fresh) followed.add(digest);
    const more = [...fresh].flatMap((digest) => bySubject.get(digest) ?? []);
    for (const tag of more) wanted.add(tag);
    await parentTags.resolveListed(more);
    subjects = targetsOf(parentTags, more);
  }
  return wanted;
}

const targetsOf = ({ targets }: ParentTags, tags: Iterable<Tag>): Digest[] =>
  [...tags].flatMap((tag) => targets.get(tag) ?? []);
