import { isAscii } from 'node:buffer';
import type { Bus } from '#proto/bus/bus.ts';
import { type BlobPlace, locateBlob } from '#proto/content/blobs.ts';
import {
  blobUnlinked,
  manifestCommitted,
  manifestDeleted,
  storageStarted,
  tagDeleted,
  tagMoved,
} from '#proto/content/content-events.ts';
import { blobDamaged, checkContent } from '#proto/content/maintenance.ts';
import { getManifest, type ManifestPlace } from '#proto/content/manifests.ts';
import type { Digest, Reference, Repository } from '#proto/oci/names.ts';
import { InvalidationBarrier } from './invalidation-barrier.ts';
import { LruCache } from './lru-cache.ts';

/**
 * Content of requests: from the data volume to the client, and from the client to the volume.
 *
 * A read asks `ContentCache` for the place of a blob or manifest, opens the file (`open-content.ts`) and sends it
 * (`send-blob.ts`, with buffers of `BufferPool`). The cache answers from `LruCache` until storage publishes a change;
 * `InvalidationBarrier` makes a hit wait for changes published before it. A write holds its ingest with `ClaimRenewal`
 * while `writeBody` stores the body, which `receive` writes and hashes. Until the next part of an upload
 * (`UploadClaim`), `IdleClaims` keeps its claim and `RunningHashes` its hash. `arriving-content.ts` reads a blob that
 * is still in transfer from the parent, by its chunk log (`arriving-chunks.ts`).
 */

/** Max places in each cache, of about 500 bytes each. */
const MAX_PLACES = 4_096;
const MAX_CONTENT_BYTES = 32 * 1024 * 1024;
/** Max age of a place, in ms, in case storage fails to report a change. */
const MAX_AGE_MS = 10_000;

/** ASCII text, which Node writes to the socket with the headers in one piece, or bytes. */
export type ManifestBytes = string | Buffer;
/** Max length of text, in bytes: with its headers, it fits into a buffer that Node has on the stack. */
const MAX_TEXT_BYTES = 12 * 1024;

/**
 * Cache of storage's answers about content that is requested often, so that such a request needs neither storage nor
 * the disk. Every change that storage has confirmed to any caller is visible to each request that arrives after that,
 * in this process and all others: storage publishes each change at once (`Invalidations`), and `LruCache` has received
 * it before it returns a value. A request that must affect garbage collection calls storage itself.
 */
export class ContentCache {
  readonly #bus: Bus;
  readonly #patience: { patience: number };
  readonly #manifests: LruCache<ManifestPlace>;
  readonly #blobs: LruCache<BlobPlace>;
  readonly #bytes = new LruCache<ManifestBytes | undefined>({
    maxEntries: MAX_PLACES,
    maxCost: MAX_CONTENT_BYTES,
    cost: (bytes) => bytes?.length ?? 0,
  });

  /**
   * @param patience how long a call waits for storage to be available again, in ms
   * @param alone no other gateway of the layer takes writes: the answer to each write then arrives in this process
   * after the change that storage published before it, and no barrier is needed
   */
  constructor(bus: Bus, patience: number, alone: boolean) {
    this.#bus = bus;
    this.#patience = { patience };
    const invalidations = new InvalidationBarrier(bus);
    const barrier = alone ? {} : { barrier: () => invalidations.wait() };
    const places = { maxEntries: MAX_PLACES, lifetimeMs: MAX_AGE_MS, ...barrier };
    this.#manifests = new LruCache(places);
    this.#blobs = new LruCache(places);

    bus.onInvalidation(tagMoved, ({ repository, tag }) => this.#manifests.forget(key(repository, tag)));
    bus.onInvalidation(tagDeleted, ({ repository, tag }) => this.#manifests.forget(key(repository, tag)));
    // The tags that pointed to it have events of their own.
    bus.onInvalidation(manifestDeleted, ({ repository, digest }) =>
      this.#manifests.forget(key(repository, digest)),
    );
    // A manifest that existed before may have another media type now.
    bus.onInvalidation(manifestCommitted, ({ digest }) =>
      this.#manifests.forgetWhere((place) => place.digest === digest),
    );
    bus.onInvalidation(blobUnlinked, ({ repository, digest }) => this.#blobs.forget(key(repository, digest)));
    bus.onInvalidation(blobDamaged, () => this.#forgetAll());
    bus.onInvalidation(storageStarted, () => this.#forgetAll());
    bus.onGap(() => this.#forgetAll());
  }

  /** Returns synchronously on a hit if no other gateway takes writes. @throws Fault as `getManifest` */
  manifest(repository: Repository, reference: Reference): ManifestPlace | Promise<ManifestPlace> {
    return this.#manifests.get(key(repository, reference), () =>
      this.#bus.call(getManifest, { repository, reference }, this.#patience),
    );
  }

  /** @throws Fault as `locateBlob` */
  blob(repository: Repository, digest: Digest): BlobPlace | Promise<BlobPlace> {
    return this.#blobs.get(key(repository, digest), () =>
      this.#bus.call(locateBlob, { repository, digest }, this.#patience),
    );
  }

  /** Bytes of a manifest, synchronously on a hit. `read` is called on a miss; undefined if it finds none. */
  bytes(
    digest: Digest,
    read: () => Promise<Buffer | undefined>,
  ): ManifestBytes | undefined | Promise<ManifestBytes | undefined> {
    return this.#bytes.get(digest, async () => {
      const bytes = await read();
      return bytes && (isShortAscii(bytes) ? bytes.toString('latin1') : bytes);
    });
  }

  /** Removes the places of this content from the cache: its file is not there. */
  invalidate(repository: Repository, reference: Reference): void {
    this.#manifests.forget(key(repository, reference));
    this.#blobs.forget(key(repository, reference));
  }

  /**
   * Has storage check content that could not be read. Damaged content is quarantined: storage does not find it until
   * the parent or a client supplies it again.
   */
  async check(digest: Digest): Promise<void> {
    await this.#bus.call(checkContent, { digest }, this.#patience);
  }

  /** Number of cached places and manifests, and the bytes of the manifests. */
  get size(): { places: number; contents: number; bytes: number } {
    const places = this.#manifests.size + this.#blobs.size;
    return { places, contents: this.#bytes.size, bytes: this.#bytes.cost };
  }

  #forgetAll(): void {
    for (const each of [this.#manifests, this.#blobs, this.#bytes]) each.forgetAll();
  }
}

const isShortAscii = (bytes: Buffer): boolean => bytes.length <= MAX_TEXT_BYTES && isAscii(bytes);

/** No name has a space in it. */
const key = (repository: Repository, reference: Reference): string => `${repository} ${reference}`;
