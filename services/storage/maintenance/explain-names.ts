import type { HeldReason } from '#proto/content/held-content.ts';
import { DigestSet, type Slice } from './digest-set.ts';
import type { Sweep } from './sweep.ts';
import { hasUpload, namesIn } from './sweep-links.ts';

/** Reasons in the order in which content counts for the first that holds it. */
const ORDER = ['tagged', 'referrer', 'untagged', 'unreadable'] as const satisfies HeldReason[];
type NamedReason = (typeof ORDER)[number];

/** The names of content in all repositories, by the reason for which their manifests are held. Of one slice. */
export class NamedContent {
  /** Number of manifests, by reason. */
  readonly manifests = new Map<NamedReason, number>();
  readonly #sweep: Sweep;
  readonly #sets: Record<NamedReason, DigestSet>;
  /** Links that no manifest names, of repositories that are protected as a whole, or have an open upload. */
  readonly #inGrace: DigestSet;
  readonly #ofOpenUpload: DigestSet;
  #graceLeftMs = 0;

  static async read(sweep: Sweep, slice: Slice): Promise<NamedContent> {
    const names = new NamedContent(sweep, slice);
    for await (const [repository] of sweep.metadata.repositories()) {
      sweep.signal.throwIfAborted();
      await names.#addRepository(repository);
    }
    return names;
  }

  private constructor(sweep: Sweep, slice: Slice) {
    const set = () => new DigestSet(slice);
    this.#sweep = sweep;
    this.#sets = { tagged: set(), referrer: set(), untagged: set(), unreadable: set() };
    [this.#inGrace, this.#ofOpenUpload] = [set(), set()];
  }

  reasonOf(digest: string): NamedReason | undefined {
    return ORDER.find((reason) => this.#sets[reason].has(digest));
  }

  /** Time for which repositories that link it are protected, in ms. */
  graceLeftMs(digest: string): number {
    return this.#inGrace.has(digest) ? this.#graceLeftMs : 0;
  }

  isOfOpenUpload(digest: string): boolean {
    return this.#ofOpenUpload.has(digest);
  }

  async #addRepository(repository: string): Promise<void> {
    const { metadata } = this.#sweep;
    const visited = new DigestSet();
    const named = new DigestSet();
    let isReadable = true;
    const visit = async (roots: string[], reason: NamedReason) => {
      const stack = [...roots];
      for (let digest = stack.pop(); digest !== undefined; digest = stack.pop()) {
        const record = visited.has(digest) ? undefined : await metadata.manifest(repository, digest);
        if (!record) continue;
        visited.add(digest);
        this.#count(reason);
        this.#sets[reason].add(digest);
        const names = await namesIn(this.#sweep, digest);
        if (!names) isReadable = false;
        for (const name of names ?? []) {
          named.add(name);
          this.#sets[reason].add(name);
        }
        // A manifest also names its subject, which it does not hold.
        const children = (names ?? []).filter((name) => name !== record.subject);
        if (children.length > 0)
          for (const child of await this.#manifestsAmong(repository, children)) stack.push(child);
      }
    };
    for await (const [, target] of metadata.tagsOfRepository(repository)) await visit([target], 'tagged');
    for (let found = true; found; ) {
      found = false;
      for await (const [key] of metadata.referrersOfRepository(repository)) {
        const [subject, digest] = key.split('!') as [string, string];
        if (visited.has(digest) || !visited.has(subject)) continue;
        await visit([digest], 'referrer');
        found = true;
      }
    }
    for await (const [digest] of metadata.manifestsOfRepository(repository))
      await visit([digest], 'untagged');
    await this.#addUnnamed(repository, named, isReadable);
  }

  async #manifestsAmong(repository: string, digests: string[]): Promise<string[]> {
    const records = await this.#sweep.metadata.manifestsByDigest(repository, digests);
    return digests.filter((_, index) => records[index]);
  }

  async #addUnnamed(repository: string, named: DigestSet, isReadable: boolean): Promise<void> {
    const { metadata, grace } = this.#sweep;
    const leftMs = grace.leftMs(repository);
    const isUploading = await hasUpload(this.#sweep, repository);
    if (leftMs > 0) this.#graceLeftMs = Math.max(this.#graceLeftMs, leftMs);
    for await (const [digest] of metadata.linksOfRepository(repository)) {
      if (named.has(digest)) continue;
      if (!isReadable) this.#sets.unreadable.add(digest);
      if (leftMs > 0) this.#inGrace.add(digest);
      if (isUploading) this.#ofOpenUpload.add(digest);
    }
  }

  #count(reason: NamedReason): void {
    this.manifests.set(reason, (this.manifests.get(reason) ?? 0) + 1);
  }
}
