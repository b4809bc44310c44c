import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bus } from '#proto/bus.ts';
import type { StorageStatus } from '#proto/manifests.ts';
import { BlobStore } from './blob-store.ts';
import { Blobs } from './blobs.ts';
import { Commits } from './commit.ts';
import { Grace } from './grace.ts';
import { Ingests } from './ingests.ts';
import { KeyedLock } from './lock.ts';
import { Manifests } from './manifests.ts';
import { Metadata } from './metadata.ts';
import { spaceOf } from './space.ts';
import { Tags } from './tags.ts';

export type Publish = Bus['publish'];

/** What the modules of storage are made of. */
export type Parts = {
  metadata: Metadata;
  store: BlobStore;
  commits: Commits;
  ingests: Ingests;
  grace: Grace;
  locks: KeyedLock;
  publish: Publish;
};

export type StorageOptions = {
  /** The data volume, absolute. */
  data: string;
  publish: Publish;
  /** Milliseconds since 1970. */
  now?: () => number;
};

/** Ingests that a status names at most: a reply must fit into one message of the bus. */
const STATUS_INGESTS = 1_000;

/** Free space that is left alone until a configuration says otherwise, in bytes. */
const RESERVE = 512 * 1024 * 1024;

/** Everything that storage holds on one data volume, which nobody else may open meanwhile. */
export class Storage implements AsyncDisposable {
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly tags: Tags;
  readonly ingests: Ingests;
  readonly #metadata: Metadata;
  readonly #data: string;

  /** Ready to serve when it returns: what a crash left behind is sorted out. */
  static async open({ data, publish, now = Date.now }: StorageOptions): Promise<Storage> {
    await mkdir(data, { recursive: true });
    const metadata = await Metadata.open(join(data, 'metadata'));
    try {
      const store = new BlobStore(data);
      const locks = new KeyedLock();
      const commits = new Commits(metadata, store, locks, publish);
      const ingests = new Ingests(data, metadata, commits, locks, now);
      await ingests.recover();
      return new Storage({ metadata, store, commits, ingests, grace: new Grace(now), locks, publish }, data);
    } catch (error) {
      await metadata[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(parts: Parts, data: string) {
    this.#data = data;
    this.#metadata = parts.metadata;
    this.blobs = new Blobs(parts);
    this.tags = new Tags(parts);
    this.manifests = new Manifests(parts, this.tags);
    this.ingests = parts.ingests;
  }

  /** Rejects when storage can't go on, and has to be opened again. */
  get failure(): Promise<never> {
    return this.#metadata.failure;
  }

  async status(): Promise<StorageStatus> {
    const ingests = await this.ingests.list(STATUS_INGESTS);
    return {
      ...this.#metadata.counters,
      damaged: 0,
      space: await spaceOf(this.#data, RESERVE),
      ingests: ingests.map(({ id, holder, record: { purpose, digest, size, touched } }) => ({
        id,
        purpose,
        touched,
        ...(digest !== undefined && { digest }),
        ...(size !== undefined && { size }),
        ...(holder !== undefined && { holder }),
      })),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#metadata[Symbol.asyncDispose]();
  }
}
