import { transferId } from '../content/ingest-folders.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { KeptDelta } from '../metadata/records.ts';

/** Which targets a repository has, and so may have deltas to. */
export class DeltaAccess {
  readonly #repository: string;
  readonly #held = new Set<string>();
  readonly #uncommitted = new Set<string>();

  /** Those of `targets` that the repository links, or that cross the link, or have crossed it, for this repository. */
  static async of(metadata: Metadata, repository: string, targets: string[]): Promise<DeltaAccess> {
    const access = new DeltaAccess(repository);
    const [links, transferred, ingests, blobs] = await Promise.all([
      metadata.linksByDigest(repository, targets),
      metadata.transferredByDigest(targets),
      metadata.ingestsById(targets.map(transferId)),
      metadata.blobsByDigest(targets),
    ]);
    for (const [i, to] of targets.entries()) {
      const isOnItsWay = [transferred[i], ingests[i]].some((record) => record?.repository === repository);
      if (links[i] || isOnItsWay) access.#held.add(to);
      if (!blobs[i]) access.#uncommitted.add(to);
    }
    return access;
  }

  private constructor(repository: string) {
    this.#repository = repository;
  }

  hasTarget(to: string): boolean {
    return this.#held.has(to);
  }

  /** Also true for a delta that crossed the link for this repository, until its target is committed. */
  mayRead({ to, repository }: Pick<KeptDelta, 'to' | 'repository'>): boolean {
    return this.#held.has(to) || (this.#uncommitted.has(to) && repository === this.#repository);
  }
}
