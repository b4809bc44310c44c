import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';

/** Max images remembered. */
const MAX_KNOWN = 1_000;

/**
 * Images that exceed the limits of a layer, so that not every pass fetches their manifests again only to fail. A full
 * pass, and one after a change of the configuration, tries them again.
 */
export class Oversized {
  readonly #faults = new Map<string, Fault>();

  /** @throws Fault `too-large` for an image that is known to be oversized */
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
