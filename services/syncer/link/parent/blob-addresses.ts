import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Digest } from '#proto/oci/names.ts';

/** Max addresses that are remembered: those of all blobs in transfer, and more. */
const MAX_ADDRESSES = 256;
/** How long an address is used, in ms, unless it is refused before: another host may serve the blob by then. */
const MAX_AGE_MS = 10 * 60_000;

/**
 * Addresses of blobs on other hosts, to which the parent redirected. They are signed for a while, so all pieces of a
 * blob use one, without a request to the parent for each. Pure.
 */
export class BlobAddresses {
  readonly #now: () => number;
  readonly #addresses = new BoundedMap<{ url: URL; until: number }>(MAX_ADDRESSES);

  /** @param now monotonic, in ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get(repository: string, digest: Digest): URL | undefined {
    const known = this.#addresses.get(keyOf(repository, digest));
    return known && known.until > this.#now() ? known.url : undefined;
  }

  /** Remembers an address that served a piece; one that is known already does not get older. */
  served(repository: string, digest: Digest, url: URL): void {
    if (this.get(repository, digest)?.href === url.href) return;
    this.#addresses.set(keyOf(repository, digest), { url, until: this.#now() + MAX_AGE_MS });
  }

  forget(repository: string, digest: Digest): void {
    this.#addresses.delete(keyOf(repository, digest));
  }
}

const keyOf = (repository: string, digest: Digest): string => `${repository}@${digest}`;
