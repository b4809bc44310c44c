import { isConflictTag } from '#proto/sync/conflict-tag.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { repositoriesDifferingFromBase } from '../metadata/repositories-differing-from-base.ts';

/** Max repositories whose counts are remembered. */
const MAX_COUNTED = 10_000;

type Counts = { tags: number; conflicts: number };

/**
 * What figures need of the tags, in memory: it is read from the metadata when it is first asked for, and from then on
 * kept by each batch. A layer that nobody looks at, and one without a parent, never reads it.
 */
export class TagIndex {
  readonly #metadata: Metadata;
  /** Tags that differ from their base, by repository. */
  #changed: Map<string, Set<string>> | undefined;
  #reading: Promise<Map<string, Set<string>>> | undefined;
  /** Names that changed while the index was read. */
  #pending = new Set<string>();
  readonly #counts = new Map<string, Promise<Counts>>();

  constructor(metadata: Metadata) {
    this.#metadata = metadata;
    metadata.onTags = (names) => this.#onTags(names);
  }

  /** Tags that differ from their base, by repository, if they are known; if not, they are read from now on. */
  get changedNow(): ReadonlyMap<string, ReadonlySet<string>> | undefined {
    // A failure shows in `failure` of the metadata.
    if (!this.#changed) this.changed().catch(() => {});
    return this.#changed;
  }

  /** The same, read first if they are not known. Only repositories that have some. */
  async changed(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    if (this.#changed) return this.#changed;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Numbers of tags of the repository. */
  counts(repository: string): Promise<Counts> {
    const known = this.#counts.get(repository);
    if (known) return known;
    const counting = this.#count(repository);
    // In place before the reading: a batch that changes a tag meanwhile removes it.
    this.#counts.set(repository, counting);
    if (this.#counts.size > MAX_COUNTED) this.#counts.delete(this.#counts.keys().next().value as string);
    return counting;
  }

  async #count(repository: string): Promise<Counts> {
    const counts = { tags: 0, conflicts: 0 };
    for await (const [tag] of this.#metadata.tagsOfRepository(repository)) {
      counts.tags += 1;
      if (isConflictTag(tag)) counts.conflicts += 1;
    }
    return counts;
  }

  async #read(): Promise<Map<string, Set<string>>> {
    const changed = new Map<string, Set<string>>();
    for await (const repository of repositoriesDifferingFromBase(this.#metadata)) {
      const names = new Set<string>();
      for await (const [tag] of this.#metadata.tagsOfRepository(repository)) names.add(tag);
      for await (const [tag] of this.#metadata.basesOfRepository(repository)) names.add(tag);
      for (const tag of names) this.#update(changed, `${repository}!${tag}`);
    }
    for (const name of this.#pending) this.#update(changed, name);
    this.#pending.clear();
    this.#changed = changed;
    return changed;
  }

  #onTags(names: ReadonlySet<string>): void {
    for (const name of names) {
      this.#counts.delete(name.slice(0, name.indexOf('!')));
      if (this.#changed) this.#update(this.#changed, name);
      else if (this.#reading) this.#pending.add(name);
    }
  }

  #update(changed: Map<string, Set<string>>, name: string): void {
    const at = name.indexOf('!');
    const repository = name.slice(0, at);
    const tag = name.slice(at + 1);
    const tags = changed.get(repository);
    if (this.#metadata.differsFromBaseNow(name)) {
      if (tags) tags.add(tag);
      else changed.set(repository, new Set([tag]));
    } else if (tags?.delete(tag) && tags.size === 0) changed.delete(repository);
  }
}
