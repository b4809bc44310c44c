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
import { CaughtUp } from './invalidation-barrier.ts';
import { Remembered } from './lru-cache.ts';

/** Places are some 500 bytes each. */
const PLACES = 4_096;
const CONTENT_BYTES = 32 * 1024 * 1024;
/** Nothing is believed for longer, should storage ever forget to say that it has changed. */
const BELIEVED_MS = 10_000;

/**
 * What storage said of content that is asked for again and again: a request for it then makes no way to storage and to
 * the disk. What storage has answered to anyone is seen by every request that comes after that answer, in this process
 * and in all others: storage says each change at once (`AtOnce`), and `Remembered` has heard it before it gives a
 * value out. Whoever must have what a request means for garbage collection asks storage itself.
 */
export class RememberedContent {
  readonly #bus: Bus;
  readonly #patience: { patience: number };
  readonly #manifests: Remembered<ManifestPlace>;
  readonly #blobs: Remembered<BlobPlace>;
  readonly #bytes = new Remembered<Buffer | undefined>({
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
    const ahead = new CaughtUp(bus);
    const caughtUp = alone ? {} : { caughtUp: () => ahead.wait() };
    const places = { entries: PLACES, lifetimeMs: BELIEVED_MS, ...caughtUp };
    this.#manifests = new Remembered(places);
    this.#blobs = new Remembered(places);

    bus.heed(tagMoved, ({ repository, tag }) => this.#manifests.forget(key(repository, tag)));
    bus.heed(tagDeleted, ({ repository, tag }) => this.#manifests.forget(key(repository, tag)));
    // The tags that pointed to it are told by themselves.
    bus.heed(manifestDeleted, ({ repository, digest }) => this.#manifests.forget(key(repository, digest)));
    // It may be one that was here already and has another media type now.
    bus.heed(manifestCommitted, ({ digest }) =>
      this.#manifests.forgetWhere((place) => place.digest === digest),
    );
    bus.heed(blobUnlinked, ({ repository, digest }) => this.#blobs.forget(key(repository, digest)));
    bus.heed(blobDamaged, () => this.#forgetAll());
    bus.heed(storageStarted, () => this.#forgetAll());
    bus.onMissed(() => this.#forgetAll());
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
