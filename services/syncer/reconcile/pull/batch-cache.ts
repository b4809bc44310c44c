import type { ParentReader } from '../../link/parent/parent-reader.ts';
import type { MemoryBudget } from './memory-budget.ts';

/** Estimated size of a descriptor in memory, in bytes. */
const DESCRIPTOR_BYTES = 300;

/** Results of a batch of images: content that several tags share is fetched and pulled once. */
export class BatchCache {
  readonly #room: MemoryBudget;
  readonly #results = new Map<string, Promise<unknown>>();
  #heldBytes = 0;

  constructor(room: MemoryBudget) {
    this.#room = room;
  }

  /** The result of the first call with this key. */
  result<T>(key: string, run: () => Promise<T>): Promise<T> {
    const known = this.#results.get(key) as Promise<T> | undefined;
    if (known) return known;
    const result = run();
    this.#results.set(key, result);
    return result;
  }

  /** The parent with a cache of manifests and lists of referrers, whose memory counts until `clear`. */
  parent(parent: ParentReader): ParentReader {
    return {
      get answers() {
        return parent.answers;
      },
      hasReferrers: (repository) => parent.hasReferrers(repository),
      hiddenReferrers: (repository) => parent.hiddenReferrers(repository),
      hiddenReferrersAbove: (repository) => parent.hiddenReferrersAbove(repository),
      recheckReferrers: () => parent.recheckReferrers(),
      blobSize: (repository, digest, signal) => parent.blobSize(repository, digest, signal),
      ping: (...ask) => parent.ping(...ask),
      repositories: (...ask) => parent.repositories(...ask),
      projectRepositories: (...ask) => parent.projectRepositories(...ask),
      tags: (...ask) => parent.tags(...ask),
      manifest: (repository, reference, signal) =>
        this.result(`manifest ${repository}@${reference}`, async () => {
          using _ = await this.#room.fetches.take();
          const fetched = await parent.manifest(repository, reference, signal);
          // Twice: the bytes, and the parsed manifest.
          this.#hold(2 * fetched.bytes.length);
          return fetched;
        }),
      taggedManifest: (repository, tag, digest, signal) =>
        parent.taggedManifest(repository, tag, digest, signal),
      referrers: (repository, digest, signal) =>
        this.result(`referrers ${repository}@${digest}`, async () => {
          const list = await parent.referrers(repository, digest, signal);
          this.#hold(DESCRIPTOR_BYTES * (list ? list.manifests.length + list.leftOut.length : 0));
          return list;
        }),
      resolve: (repository, reference, signal) => parent.resolve(repository, reference, signal),
    };
  }

  clear(): void {
    this.#results.clear();
    this.#room.release(this.#heldBytes);
    this.#heldBytes = 0;
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#room.hold(bytes);
  }
}
