import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { BlobPlace } from '#proto/content/blobs.ts';
import { blobCommitted, blobUnlinked } from '#proto/content/content-events.ts';
import { Fault } from '#proto/contract/fault.ts';
import { byAccount } from '../audit/caller-context.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { type Change, drop, put } from '../metadata/metadata.ts';
import { page } from '../metadata/page.ts';
import type { BlobStore } from './blob-store.ts';
import type { Commits } from './commit.ts';
import type { BlobLinker, BlobReader, CommitQuery, ContentCommitter, DeltaKeeper } from './content-store.ts';
import type { Grace } from './grace.ts';
import type { Ingests } from './ingests.ts';

/** Repositories read at a time. */
const PAGE = 1_000;

type BlobsDeps = {
  metadata: Metadata;
  store: BlobStore;
  commits: Commits;
  ingests: Ingests;
  grace: Grace;
  locks: KeyedLock;
  deltas: DeltaKeeper;
  publish: Bus['publish'];
  now: () => number;
};

/** Committed blobs and their links. Promises and faults of the methods: see the roles in content-store.ts. */
export class Blobs implements BlobReader, BlobLinker, ContentCommitter {
  readonly #deps: BlobsDeps;

  constructor(deps: BlobsDeps) {
    this.#deps = deps;
  }

  async locate(repository: string, digest: string): Promise<BlobPlace> {
    const { metadata, store, grace } = this.#deps;
    await grace.renew(digest);
    const [link, blob] = await Promise.all([metadata.link(repository, digest), metadata.blob(digest)]);
    if (!link || !blob) throw await this.#unknown(repository, digest);
    return { path: store.path(digest), size: blob.size };
  }

  async missing(digests: string[]): Promise<string[]> {
    const { metadata, grace } = this.#deps;
    await grace.renew(...digests);
    const records = await metadata.blobsByDigest(digests);
    return digests.filter((_, i) => !records[i]);
  }

  async link(repository: string, digests: string[], from?: string): Promise<void> {
    const { metadata, grace, locks } = this.#deps;
    using _ = await grace.hold(repository, ...digests);
    await locks.run(`repository ${repository}`, async () => {
      const [blobs, sources, links] = await Promise.all([
        metadata.blobsByDigest(digests),
        from === undefined ? undefined : metadata.linksByDigest(from, digests),
        metadata.linksByDigest(repository, digests),
      ]);
      const absent = digests.find((_, i) => !blobs[i] || (sources && !sources[i]));
      if (absent !== undefined) {
        throw new Fault(
          'blob-unknown',
          `blob ${absent} is not ${from === undefined ? 'in this layer' : `in repository ${from}`}: upload it`,
          { detail: { digest: absent } },
        );
      }
      await metadata.write(digests.flatMap((digest, i) => (links[i] ? [] : put.link(repository, digest))));
    });
  }

  /** Reads one link per repository: a layer has far fewer repositories than links. */
  async repositories(digest: string, limit: number): Promise<string[]> {
    const { metadata } = this.#deps;
    const linking: string[] = [];
    let after: string | undefined;
    for (let more = true; more && linking.length < limit; ) {
      let entries: [string, object][];
      [entries, more] = await page(metadata.repositories(after), PAGE);
      const names = entries.map(([name]) => name);
      const links = await metadata.linksByRepository(names, digest);
      for (const [i, name] of names.entries()) if (links[i]) linking.push(name);
      after = names.at(-1);
    }
    return linking.slice(0, limit);
  }

  async unlink(repository: string, digest: string): Promise<void> {
    const { metadata, locks, publish } = this.#deps;
    await locks.run(`repository ${repository}`, async () => {
      if (!(await metadata.link(repository, digest))) throw await this.#unknown(repository, digest);
      await metadata.write(drop.link(repository, digest));
      publish(blobUnlinked, { repository, digest, ...byAccount() });
    });
  }

  async commit(query: CommitQuery): Promise<number> {
    const { metadata, commits, grace, locks, ingests, publish, deltas } = this.#deps;
    const { id, claim, repository, digest } = query;
    using _ = await grace.hold(digest, ...(repository === undefined ? [] : [repository]));
    try {
      return await ingests.commit({ id, claim }, async (held) => {
        const verified = await commits.verify(held, query);
        const { size } = verified;
        const delta = query.delta ?? held.record.delta;
        await locks.run(`blob ${digest}`, async () => {
          const changes = await commits.moveIn(held, verified);
          // The repository that a transfer was made for: children may pull the content before that repository links it.
          const wanting = repository ?? held.record.repository;
          if (delta) await deltas.keep(verified, delta, wanting, [...changes, ...drop.ingest(id)]);
          else await this.#write(digest, repository, wanting, [...changes, ...drop.ingest(id)]);
          if (changes.length > 0 && !delta) publish(blobCommitted, { digest, size, ...byAccount() });
        });
        return size;
      });
    } catch (error) {
      // A retry after a lost reply: the commit has already taken effect.
      const done = Fault.is(error, 'claim-lost') && (await metadata.blob(digest));
      if (!done) throw error;
      if (query.delta) await deltas.keepCommitted(digest, query.delta, repository);
      else if (repository !== undefined && !(await metadata.link(repository, digest))) throw error;
      return done.size;
    }
  }

  /** Writes the batch that makes a blob visible. @param wanting the repository that it was transferred for */
  async #write(
    digest: string,
    repository: string | undefined,
    wanting: string | undefined,
    changes: Change[],
  ): Promise<void> {
    const { metadata, locks, now } = this.#deps;
    if (repository === undefined) {
      const transferred = { since: now(), ...(wanting !== undefined && { repository: wanting }) };
      await metadata.write([...changes, ...put.transferred(digest, transferred)]);
    } else {
      await locks.run(`repository ${repository}`, () =>
        metadata.write([...changes, ...put.link(repository, digest)]),
      );
    }
  }

  /**
   * Commits content that is read in chunks, and that no repository links yet: it stays as content that arrived over the
   * link does.
   * @throws Fault `digest-invalid`
   */
  async commitChunks(digest: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { metadata, commits, grace, locks, publish, now } = this.#deps;
    using _ = await grace.hold(digest);
    await using staged = await commits.stageChunks(digest, chunks);
    await locks.run(`blob ${digest}`, async () => {
      const changes = await commits.moveIn(undefined, staged);
      await metadata.write([...changes, ...put.transferred(digest, { since: now() })]);
      if (changes.length > 0) publish(blobCommitted, { digest, size: staged.size, ...byAccount() });
    });
  }

  async #unknown(repository: string, digest: string): Promise<Fault> {
    if (await this.#deps.metadata.repository(repository)) {
      return new Fault('blob-unknown', `repository ${repository} has no blob ${digest}`, {
        detail: { digest },
      });
    }
    return new Fault('name-unknown', `repository ${repository} is not known here`, {
      detail: { repository },
    });
  }
}
