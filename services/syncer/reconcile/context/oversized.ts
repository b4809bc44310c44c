import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';

/** So many are remembered. */
const MAX_KNOWN = 1_000;

/**
 * Images that need more than a layer takes, so that not every pass fetches their manifests again to find that out: a
 * full pass does, and one after a change of the configuration.
 */
export class Oversized {
  readonly #faults = new Map<string, Fault>();

  /** @throws Fault `too-large` for one that is known */
  mustNotBeKnown(repository: Repository, digest: Digest): void {
    const known = this.#faults.get(key(repository, digest));
    if (known) throw known;
  }

  note(repository: Repository, digest: Digest, error: unknown): void {
    if (Fault.is(error, 'too-large') && this.#faults.size < MAX_KNOWN) {
      this.#faults.set(key(repository, digest), error);
    }
  }
}

const key = (repository: Repository, digest: Digest): string => `${repository}@${digest}`;
