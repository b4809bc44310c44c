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
import { blobDamaged } from '#proto/content/maintenance.ts';
import { getManifest, type ManifestPlace } from '#proto/content/manifests.ts';
import type { Digest, Reference, Repository } from '#proto/oci/names.ts';
import { InvalidationBarrier } from './invalidation-barrier.ts';
import { LruCache } from './lru-cache.ts';

/** Places are some 500 bytes each. */
const PLACES = 4_096;
const CONTENT_BYTES = 32 * 1024 * 1024;
/** Nothing is believed for longer, should storage ever forget to say that it has changed. */
const BELIEVED_MS = 10_000;

/**
 * What storage said of content that is asked for again and again: a request for it then makes no way to storage and to
 * the disk. What storage has answered to anyone is seen by every request that comes after that answer, in this process
 * and in all others: storage says each change at once (`Invalidations`), and `LruCache` has heard it before it gives a
 * value out. Whoever must have what a request means for garbage collection asks storage itself.
 */
export class ContentCache {
  readonly #bus: Bus;
  readonly #patience: { patience: number };
  readonly #manifests: LruCache<ManifestPlace>;
  readonly #blobs: LruCache<BlobPlace>;
  readonly #bytes = new LruCache<Buffer | undefined>({
    entries: PLACES,
    most: CONTENT_BYTES,
    cost: (bytes) => bytes?.byteLength ?? 0,
  });

  /**
   * @param patience how long to wait for storage to come back, in ms
   * @param alone whether no other gateway of the layer takes writes: then the answer to each comes here, behind what
   * storage said before it, and nothing more is to be waited for
   */
  constructor(bus: Bus, patience: number, alone: boolean) {
    this.#bus = bus;
    this.#patience = { patience };
    const ahead = new InvalidationBarrier(bus);
    const barrier = alone ? {} : { barrier: () => ahead.wait() };
    const places = { entries: PLACES, lifetimeMs: BELIEVED_MS, ...barrier };
    this.#manifests = new LruCache(places);
    this.#blobs = new LruCache(places);

    bus.onInvalidation(tagMoved, ({ repository, tag }) => this.#manifests.forget(key(repository, tag)));
    bus.onInvalidation(tagDeleted, ({ repository, tag }) => this.#manifests.forget(key(repository, tag)));
    // The tags that pointed to it are told by themselves.
    bus.onInvalidation(manifestDeleted, ({ repository, digest }) =>
      this.#manifests.forget(key(repository, digest)),
    );
    // It may be one that was here already and has another media type now.
    bus.onInvalidation(manifestCommitted, ({ digest }) =>
      this.#manifests.forgetWhere((place) => place.digest === digest),
    );
    bus.onInvalidation(blobUnlinked, ({ repository, digest }) => this.#blobs.forget(key(repository, digest)));
    bus.onInvalidation(blobDamaged, () => this.#forgetAll());
    bus.onInvalidation(storageStarted, () => this.#forgetAll());
    bus.onGap(() => this.#forgetAll());
  }

  /** Faults: those of `getManifest`. */
  manifest(repository: Repository, reference: Reference): Promise<ManifestPlace> {
    return this.#manifests.get(key(repository, reference), () =>
      this.#bus.call(getManifest, { repository, reference }, this.#patience),
    );
  }

  /** Faults: those of `locateBlob`. */
  blob(repository: Repository, digest: Digest): Promise<BlobPlace> {
    return this.#blobs.get(key(repository, digest), () =>
      this.#bus.call(locateBlob, { repository, digest }, this.#patience),
    );
  }

  /** The bytes of a manifest, or undefined where `read` finds none. It is called where they are not remembered. */
  bytes(digest: Digest, read: () => Promise<Buffer | undefined>): Promise<Buffer | undefined> {
    return this.#bytes.get(digest, read);
  }

  /** What was remembered of it is not so: its file is not there. */
  misplaced(repository: Repository, reference: Reference): void {
    this.#manifests.forget(key(repository, reference));
    this.#blobs.forget(key(repository, reference));
  }

  /** How many places and manifests are remembered, and the bytes of the latter. */
  get size(): { places: number; contents: number; bytes: number } {
    const places = this.#manifests.size + this.#blobs.size;
    return { places, contents: this.#bytes.size, bytes: this.#bytes.cost };
  }

  #forgetAll(): void {
    for (const each of [this.#manifests, this.#blobs, this.#bytes]) each.forgetAll();
  }
}

/** No name has a space in it. */
const key = (repository: Repository, reference: Reference): string => `${repository} ${reference}`;
