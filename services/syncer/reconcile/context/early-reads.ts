import type { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import type { FetchedManifest, ManifestSource, TagLister } from '../../link/parent/parent-reader.ts';

/** Max repositories whose tags are read early, and max manifests (of up to 4 MiB) that are held for their use. */
const MAX_EARLY = 4;

/** What is needed of the parent. */
export type EarlySource = TagLister & Pick<ManifestSource, 'manifest'>;

type TagList = { tags: Tag[] | undefined; invalid: string[] };

/**
 * What a pass reads of its parent before it knows that it needs it, at a time with the request that tells. On a link
 * with a long round trip, a small update waits for round trips rather than for bytes. Each answer is used once; what is
 * not used in the end is bounded by `MAX_EARLY`. Disposal ends the requests.
 */
export class EarlyReads implements Disposable {
  readonly #parent: EarlySource;
  readonly #asked: BoundedMap<true>;
  readonly #end = new AbortController();
  readonly #signal: AbortSignal;
  readonly #lists = new Map<Repository, Promise<TagList>>();
  readonly #manifests = new Map<Repository, Promise<FetchedManifest | undefined>>();

  /** @param asked tags whose manifest was requested early before: one that is never pulled is not requested again */
  constructor(parent: EarlySource, signal: AbortSignal, asked: BoundedMap<true>) {
    this.#parent = parent;
    this.#asked = asked;
    this.#signal = AbortSignal.any([signal, this.#end.signal]);
  }

  /** Requests the lists of the first of these repositories. */
  requestTags(repositories: readonly Repository[]): void {
    for (const repository of repositories.slice(0, MAX_EARLY)) {
      const list = this.#list(repository);
      // Handled where it is used, if it is.
      list.catch(() => {});
      this.#lists.set(repository, list);
    }
  }

  /** As `TagLister.tags`, by the early answer if there is one. */
  async tags(repository: Repository, onInvalid: (name: string) => void): Promise<Tag[] | undefined> {
    const early = this.#lists.get(repository);
    this.#lists.delete(repository);
    if (!early) return this.#parent.tags(repository, this.#signal, onInvalid);
    const { tags, invalid } = await early;
    invalid.forEach(onInvalid);
    return tags;
  }

  async #list(repository: Repository): Promise<TagList> {
    const invalid: string[] = [];
    const tags = await this.#parent.tags(repository, this.#signal, (name) => void invalid.push(name));
    return { tags, invalid };
  }

  /** Requests the manifest of a tag of this repository, while the digest of the tag is requested. */
  requestManifest(repository: Repository, tag: Tag): void {
    const key = `${repository}:${tag}`;
    if (this.#manifests.size >= MAX_EARLY || this.#asked.has(key)) return;
    this.#asked.set(key, true);
    const manifest = this.#parent.manifest(repository, tag, this.#signal);
    this.#manifests.set(
      repository,
      manifest.catch(() => undefined),
    );
  }

  /** @returns undefined if this manifest was not requested early, or the parent did not provide it by its tag */
  async manifest(repository: Repository, digest: Digest): Promise<FetchedManifest | undefined> {
    const early = await this.#manifests.get(repository);
    if (early?.digest !== digest) return undefined;
    // Its entry stays, without the bytes: the number of entries is that of the requests.
    this.#manifests.set(repository, Promise.resolve(undefined));
    return early;
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }
}
