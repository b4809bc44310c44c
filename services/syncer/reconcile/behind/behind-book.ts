import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import type { BehindTag, ComparisonFailure } from '#proto/sync/behind.ts';
import { type BehindUpdate, updatesOf } from './behind-updates.ts';

/** What a pass does about a tag: `take`, `drop` and others. Structural, as of `observe/plan-repository.ts`. */
type Action = { tag: Tag; action: { kind: string; digest: Digest | undefined } };

/** The part of a survey that decides what the layer lacks. */
export type Compared = {
  repository: Repository;
  isAllCompared: boolean;
  /** If not all are: the tags that were. */
  comparedTags: readonly Tag[];
  /** Why some tags could not be. */
  failure?: ComparisonFailure;
  actions: readonly Action[];
};

type Entry = BehindTag & { repository: Repository };

/**
 * What the layer lacks of its parent, as a pass knows it. Pure: updates for storage are collected until they are taken.
 * Tags that are carried out before that are not part of any.
 */
export class BehindBook {
  readonly #recorded: Set<Repository>;
  readonly #entries = new Map<string, Entry>();
  /** The entry to which the bytes of a blob are counted. */
  readonly #owners = new Map<Digest, { entry: Entry; size: number }>();
  readonly #changed = new Set<Entry>();
  /** Only the remaining bytes differ. */
  readonly #progressed = new Set<Entry>();
  readonly #dropped = new Map<Repository, Set<Tag>>();
  readonly #complete = new Map<Repository, Map<Tag, Digest>>();
  readonly #replaced = new Set<Repository>();
  /** Repositories of which all tags were compared. */
  readonly #allCompared = new Set<Repository>();
  /** Those of which all records are replaced, also those of incomplete images. */
  readonly #pulled = new Set<Repository>();
  /** Repositories that are recorded as not compared. */
  readonly #uncompared: Set<Repository>;
  readonly #comparisons = new Map<Repository, ComparisonFailure | null>();

  /**
   * @param recorded repositories of which storage has records
   * @param uncompared those of them that could not be compared
   */
  constructor(recorded: Iterable<Repository>, uncompared: Iterable<Repository> = []) {
    this.#recorded = new Set(recorded);
    this.#uncompared = new Set(uncompared);
  }

  /** Repositories of which storage had records when the pass began. */
  get recorded(): Iterable<Repository> {
    return this.#recorded;
  }

  /** A repository was compared. */
  compared({ repository, isAllCompared, comparedTags, failure, actions }: Compared): void {
    const isRecorded = this.#recorded.has(repository);
    const behind = new Set<Tag>();
    for (const { tag, action } of actions) {
      if (action.kind !== 'take' && action.kind !== 'drop') continue;
      behind.add(tag);
      const entry: Entry = { repository, tag, target: action.digest ?? null };
      this.#entries.set(keyOf(repository, tag), entry);
      this.#changed.add(entry);
    }
    if (isAllCompared) this.#allCompared.add(repository);
    if (failure) this.notCompared(repository, failure);
    else this.#forgetFailure(repository);
    if (!isRecorded) return;
    if (isAllCompared) this.#replaced.add(repository);
    else for (const tag of comparedTags) if (!behind.has(tag)) this.#drop(repository, tag);
  }

  /**
   * A repository could not be compared: the records of it that storage has go on to hold. A parent that does not answer
   * says nothing of the repository.
   */
  notCompared(
    repository: Repository,
    { code, reason, status }: ComparisonFailure & { status?: number },
  ): void {
    if (code === 'parent-unreachable' && status === undefined) return;
    this.#uncompared.add(repository);
    this.#comparisons.set(repository, { code, reason });
  }

  /**
   * The pass follows the changes since everything was compared: in other repositories than these, there is none. So a
   * failure to compare them once more says nothing.
   */
  followed(changed: ReadonlySet<Repository>): void {
    for (const repository of this.#uncompared) if (!changed.has(repository)) this.#forgetFailure(repository);
  }

  #forgetFailure(repository: Repository): void {
    if (this.#uncompared.delete(repository)) this.#comparisons.set(repository, null);
  }

  /** All repositories were compared: those of which storage has records and that are not among these are obsolete. */
  retain(repositories: ReadonlySet<Repository>): void {
    for (const repository of this.#recorded) {
      if (repositories.has(repository)) continue;
      this.#pulled.add(repository);
      this.#forgetFailure(repository);
    }
  }

  /** The blobs that a tag lacks are known. A blob counts for the first tag that lacks it. */
  sized(repository: Repository, tag: Tag, missing: readonly Descriptor[]): void {
    const entry = this.#entries.get(keyOf(repository, tag));
    if (entry) this.#size(entry, missing);
  }

  /** These tags point to their target here, whose image lacks content of the parent: blobs, or manifests alone. */
  incomplete(
    repository: Repository,
    tags: readonly Tag[],
    target: Digest,
    missing: readonly Descriptor[],
  ): void {
    for (const tag of tags) {
      const key = keyOf(repository, tag);
      if (this.#entries.has(key)) continue;
      const entry: Entry = { repository, tag, target, incomplete: true };
      this.#entries.set(key, entry);
      this.#size(entry, missing);
    }
  }

  /** The image of these tags lacks nothing, or nothing that the parent provides. */
  complete(repository: Repository, tags: readonly Tag[], target: Digest): void {
    for (const tag of tags) {
      const entry = this.#entries.get(keyOf(repository, tag));
      if (entry && !entry.incomplete) continue;
      if (entry) this.settled(repository, tag);
      else if (!this.#recorded.has(repository)) continue;
      const complete = this.#complete.get(repository) ?? new Map<Tag, Digest>();
      this.#complete.set(repository, complete.set(tag, target));
    }
  }

  /** All that the comparison found was pulled, or has failed: where everything was compared, no other record holds. */
  pulled(): void {
    for (const repository of this.#allCompared)
      if (this.#recorded.has(repository)) this.#pulled.add(repository);
  }

  #size(entry: Entry, missing: readonly Descriptor[]): void {
    entry.bytes = 0;
    for (const { digest, size } of missing) {
      if (this.#owners.has(digest)) continue;
      this.#owners.set(digest, { entry, size });
      entry.bytes += size;
    }
    this.#changed.add(entry);
  }

  /** The blob is here. */
  arrived(digest: Digest): void {
    const owner = this.#owners.get(digest);
    if (!owner) return;
    this.#owners.delete(digest);
    const { entry, size } = owner;
    entry.bytes = Math.max(0, (entry.bytes ?? 0) - size);
    this.#progressed.add(entry);
  }

  failed(repository: Repository, tag: Tag, code: string, reason: string): void {
    this.#fail(this.#entries.get(keyOf(repository, tag)), code, reason);
  }

  /** What the image of these tags lacks could not be pulled. */
  failedIncomplete(repository: Repository, tags: readonly Tag[], code: string, reason: string): void {
    for (const tag of tags) {
      const entry = this.#entries.get(keyOf(repository, tag));
      if (entry?.incomplete) this.#fail(entry, code, reason);
    }
  }

  #fail(entry: Entry | undefined, code: string, reason: string): void {
    if (!entry) return;
    Object.assign(entry, { code, reason });
    this.#changed.add(entry);
  }

  /** The tag is carried out: storage deletes its record with that. */
  settled(repository: Repository, tag: Tag): void {
    const key = keyOf(repository, tag);
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#changed.delete(entry);
    this.#progressed.delete(entry);
  }

  /** The updates for storage, each of at most `MAX_BEHIND` tags. @param progress also those of remaining bytes alone */
  take(progress: boolean): BehindUpdate[] {
    if (progress) for (const entry of this.#progressed) this.#changed.add(entry);
    if (progress) this.#progressed.clear();
    // A record that is kept must be among those that replace all others.
    for (const entry of this.#entries.values())
      if (this.#pulled.has(entry.repository)) this.#changed.add(entry);
    const changed = Map.groupBy(this.#changed, ({ repository }) => repository);
    const repositories = new Set([
      ...changed.keys(),
      ...this.#dropped.keys(),
      ...this.#complete.keys(),
      ...this.#replaced,
      ...this.#pulled,
      ...this.#comparisons.keys(),
    ]);
    const updates = [...repositories].flatMap((repository) =>
      updatesOf({
        repository,
        put: (changed.get(repository) ?? []).map(({ repository: _, ...tag }) => tag),
        drop: [...(this.#dropped.get(repository) ?? [])],
        complete: [...(this.#complete.get(repository) ?? [])].map(([tag, target]) => ({ tag, target })),
        ...(this.#comparisons.has(repository) && {
          uncompared: this.#comparisons.get(repository) as ComparisonFailure | null,
        }),
        ...(this.#pulled.has(repository)
          ? { replace: { incomplete: true } }
          : this.#replaced.has(repository) && { replace: {} }),
      }),
    );
    this.#changed.clear();
    this.#dropped.clear();
    this.#complete.clear();
    this.#replaced.clear();
    this.#pulled.clear();
    this.#comparisons.clear();
    return updates;
  }

  #drop(repository: Repository, tag: Tag): void {
    const tags = this.#dropped.get(repository);
    if (tags) tags.add(tag);
    else this.#dropped.set(repository, new Set([tag]));
  }
}

const keyOf = (repository: Repository, tag: Tag): string => `${repository}!${tag}`;
