import type { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import type { FetchedManifest, ManifestSource, TagLister } from '../../link/parent/parent-reader.ts';

/** Max prefetched lists of tags, and max prefetched manifests (of up to 4 MiB each), of a pass. */
const MAX_PREFETCHED = 4;

/** What is needed of the parent. */
export type PrefetchSource = TagLister & Pick<ManifestSource, 'manifest'>;

type TagList = { tags: Tag[] | undefined; invalid: string[] };

/**
 * What a pass requests of its parent at the same time as the answer that shows whether it is needed: on a link with a
 * long round trip, an image is here one round trip sooner. Each answer is used once. Disposal aborts the requests.
 */
export class PassPrefetch implements Disposable {
  readonly #parent: PrefetchSource;
  readonly #asked: BoundedMap<true>;
  readonly #end = new AbortController();
  readonly #signal: AbortSignal;
  readonly #lists = new Map<Repository, Promise<TagList>>();
  readonly #manifests = new Map<Repository, Promise<FetchedManifest | undefined>>();

  /** @param asked tags whose manifests were prefetched by other passes: one that is never pulled is requested once */
  constructor(parent: PrefetchSource, signal: AbortSignal, asked: BoundedMap<true>) {
    this.#parent = parent;
    this.#asked = asked;
    this.#signal = AbortSignal.any([signal, this.#end.signal]);
  }

  /** Requests the lists of the first of these repositories. */
  requestTags(repositories: readonly Repository[]): void {
    for (const repository of repositories.slice(0, MAX_PREFETCHED)) {
      const list = this.#list(repository);
      // Handled where it is used, if it is.
      list.catch(() => {});
      this.#lists.set(repository, list);
    }
  }

  /** As `TagLister.tags`, by the prefetched list if there is one. */
  async tags(repository: Repository, onInvalid: (name: string) => void): Promise<Tag[] | undefined> {
    const list = this.#lists.get(repository);
    this.#lists.delete(repository);
    if (!list) return this.#parent.tags(repository, this.#signal, onInvalid);
    const { tags, invalid } = await list;
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
    if (this.#manifests.size >= MAX_PREFETCHED || this.#asked.has(key)) return;
    this.#asked.set(key, true);
    const manifest = this.#parent.manifest(repository, tag, this.#signal);
    this.#manifests.set(
      repository,
      manifest.catch(() => undefined),
    );
  }

  /** @returns undefined if this manifest was not prefetched, or the parent did not provide it by its tag */
  async manifest(repository: Repository, digest: Digest): Promise<FetchedManifest | undefined> {
    const manifest = await this.#manifests.get(repository);
    if (manifest?.digest !== digest) return undefined;
    // Its entry stays, without the bytes: the number of entries is that of the requests.
    this.#manifests.set(repository, Promise.resolve(undefined));
    return manifest;
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }
}
