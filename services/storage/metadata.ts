import { setTimeout as sleep } from 'node:timers/promises';
import { Level } from 'level';
import { Fault } from '#proto/fault.ts';
import { bootId } from './boot.ts';
import { type Change, set } from './changes.ts';
import { sorted } from './database-faults.ts';
import type {
  BlobRecord,
  DamagedRecord,
  IngestRecord,
  ManifestRecord,
  ReferrerRecord,
  ScopeMapRecord,
  TokenRecord,
  TransferredRecord,
} from './records.ts';

/*
 * What is where, in LevelDB. Keys sort bytewise; `!` sorts before every character that names, tags and digests can
 * have, so the entries of one repository lie together and in order. Values are JSON.
 *
 *   b!<digest>                          BlobRecord      committed bytes: the file lies in the blob store
 *   r!<repository>                      {}              comes with the first link or manifest
 *   l!<repository>!<digest>             {}              the repository links the blob
 *   m!<repository>!<digest>             ManifestRecord  the repository has the manifest; links its bytes too
 *   f!<repository>!<subject>!<digest>   ReferrerRecord  the manifest `digest` refers to `subject`
 *   t!<repository>!<tag>                digest          what the tag points to
 *   s!<repository>!<tag>                digest          base: what it pointed to when parent and layer last agreed
 *   w!<digest>                          TransferredRecord  came over the link, and waits for the manifest that names it
 *   d!<digest>                          DamagedRecord   was committed, and its bytes turned out damaged or gone
 *   i!<id>                              IngestRecord    content being written; not synced, a power cut may undo it
 *   a!<token>                           TokenRecord
 *   c!<scope map>                       ScopeMapRecord
 *   k!signing                           base64url       what Bearer tokens of this layer are signed with
 *   x!version                           number          of this table
 *   x!boot                              string          the boot of the machine in which it was last opened
 *
 * Every visible change is one synced batch. The writer of `b!` and `d!` holds the lock of the blob, the writer of any
 * other visible key of content that of the repository, that of the accounts for `a!`, `c!` and `k!`.
 */
const VERSION = 1;

export { type Change, drop, put } from './changes.ts';

export type Counters = Record<
  'repositories' | 'tags' | 'blobs' | 'bytes' | 'damaged' | 'tokens' | 'scopeMaps',
  number
>;

export class Metadata implements AsyncDisposable {
  readonly #db: Level<string, unknown>;
  readonly #failure = Promise.withResolvers<never>();
  #failed: unknown;
  readonly counters: Counters = {
    repositories: 0,
    tags: 0,
    blobs: 0,
    bytes: 0,
    damaged: 0,
    tokens: 0,
    scopeMaps: 0,
  };
  /** The machine was started since the last opening: what was not synced may be missing. */
  readonly afterReboot: boolean;

  /**
   * @param patienceMs how long to wait for another process that has the folder open
   * @throws Error that says what to do, where it can't be opened
   */
  static async open(folder: string, patienceMs = 10_000): Promise<Metadata> {
    const db = await opened(folder, Date.now() + patienceMs);
    const [version, before] = await db.getMany(['x!version', 'x!boot']);
    if (version !== undefined && version !== VERSION) {
      await db.close();
      throw new Error(
        `${folder} has version ${version} of the metadata, this Terrace reads ${VERSION}: use the one that wrote it`,
      );
    }
    const boot = await bootId();
    if (before !== boot) {
      await db.batch([set('x!version', VERSION), set('x!boot', boot)] as never, { sync: true });
    }
    const metadata = new Metadata(db, before !== boot);
    await metadata.#count();
    return metadata;
  }

  private constructor(db: Level<string, unknown>, afterReboot: boolean) {
    this.#db = db;
    this.afterReboot = afterReboot;
    this.#failure.promise.catch(() => {});
  }

  /**
   * Rejects when a write failed. Nobody can tell then what of it is on the disk, and what LevelDB would append after
   * it might be lost: nothing more is written, and only opening it again shows what is true.
   */
  get failure(): Promise<never> {
    return this.#failure.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db.close();
  }

  // ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

  blobs = (digests: string[]) => this.#many<BlobRecord>(digests.map((digest) => `b!${digest}`));
  links = (repository: string, digests: string[]) =>
    this.#many<object>(digests.map((digest) => `l!${repository}!${digest}`));
  manifests = (repository: string, digests: string[]) =>
    this.#many<ManifestRecord>(digests.map((digest) => `m!${repository}!${digest}`));

  blob = (digest: string) => this.#one<BlobRecord>(`b!${digest}`);
  repository = (repository: string) => this.#one<object>(`r!${repository}`);
  link = (repository: string, digest: string) => this.#one<object>(`l!${repository}!${digest}`);
  manifest = (repository: string, digest: string) => this.#one<ManifestRecord>(`m!${repository}!${digest}`);
  tag = (repository: string, tag: string) => this.#one<string>(`t!${repository}!${tag}`);
  ingest = (id: string) => this.#one<IngestRecord>(`i!${id}`);
  transferred = (digests: string[]) => this.#many<TransferredRecord>(digests.map((digest) => `w!${digest}`));
  token = (name: string) => this.#one<TokenRecord>(`a!${name}`);
  scopeMap = (name: string) => this.#one<ScopeMapRecord>(`c!${name}`);
  signingKey = () => this.#one<string>('k!signing');

  /** The iterations below give `[the last part of the key, the value]`, in bytewise order of the former. */
  repositories = (after?: string) => this.#range<object>('r!', after);
  tags = (repository: string, after?: string) => this.#range<string>(`t!${repository}!`, after);
  bases = (repository: string, after?: string) => this.#range<string>(`s!${repository}!`, after);
  referrers = (repository: string, subject: string, after?: string) =>
    this.#range<ReferrerRecord>(`f!${repository}!${subject}!`, after);
  ingests = () => this.#range<IngestRecord>('i!');
  allBlobs = (after?: string) => this.#range<BlobRecord>('b!', after);
  allDamaged = (after?: string) => this.#range<DamagedRecord>('d!', after);
  allTransferred = () => this.#range<TransferredRecord>('w!');
  linksOf = (repository: string) => this.#range<object>(`l!${repository}!`);
  manifestsOf = (repository: string) => this.#range<ManifestRecord>(`m!${repository}!`);

  /** Every `[repository, digest]` of links (`l`) or manifests (`m`). */
  async *named(kind: 'l' | 'm'): AsyncGenerator<[repository: string, digest: string]> {
    try {
      for await (const key of this.#db.keys({ gt: `${kind}!`, lt: `${kind}"` })) {
        yield key.slice(2).split('!') as [string, string];
      }
    } catch (error) {
      throw sorted(error);
    }
  }

  /** Has the repository nothing in it? `ignored` says so of links, as `<repository>!<digest>`. */
  async empty(repository: string, ignored: (link: string) => boolean): Promise<boolean> {
    for (const kind of ['l', 'm', 't', 's', 'f']) {
      for await (const [name] of this.#range(`${kind}!${repository}!`)) {
        if (kind !== 'l' || !ignored(`${repository}!${name}`)) return false;
      }
    }
    return true;
  }
  tokens = (after?: string) => this.#range<TokenRecord>('a!', after);
  scopeMaps = (after?: string) => this.#range<ScopeMapRecord>('c!', after);

  // ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * All of it or nothing, on the disk when it returns. No changes: nothing is written.
   * @throws Fault `no-space`
   */
  async write(changes: Change[]): Promise<void> {
    if (changes.length === 0) return;
    // Nobody else writes these keys meanwhile: their locks are held.
    const counted = new Map(
      changes.filter(({ key }) => /^[abcdrt]!/.test(key)).map((each) => [each.key, each]),
    );
    const before = await this.#many([...counted.keys()]);
    await this.#batch(changes, true);
    for (const [key, change] of counted) {
      this.#tally(key, before.shift(), -1);
      if (change.type === 'put') this.#tally(key, change.value, 1);
    }
  }

  /** For ingests only: survives the end of this process, not a power cut. */
  async note(changes: Change[]): Promise<void> {
    await this.#batch(changes, false);
  }

  async #batch(changes: Change[], sync: boolean): Promise<void> {
    if (this.#failed) throw this.#failed;
    try {
      await this.#db.batch(changes as never, { sync });
    } catch (error) {
      const fault = sorted(error);
      if (!Fault.is(fault, 'unavailable')) {
        this.#failed = fault;
        this.#failure.reject(fault);
      }
      throw fault;
    }
  }

  async #one<T>(key: string): Promise<T | undefined> {
    return (await this.#many<T>([key]))[0];
  }

  async #many<T>(keys: string[]): Promise<(T | undefined)[]> {
    try {
      return (await this.#db.getMany(keys)) as (T | undefined)[];
    } catch (error) {
      throw sorted(error);
    }
  }

  async *#range<T>(prefix: string, after?: string): AsyncGenerator<[string, T]> {
    // The character behind `!` ends the range of what begins with the prefix.
    const range = { gt: prefix + (after ?? ''), lt: `${prefix.slice(0, -1)}"` };
    try {
      for await (const [key, value] of this.#db.iterator(range)) {
        yield [key.slice(prefix.length), value as T];
      }
    } catch (error) {
      throw sorted(error);
    }
  }

  async #count(): Promise<void> {
    for (const kind of ['a', 'b', 'c', 'd', 'r', 't']) {
      const range = { gt: `${kind}!`, lt: `${kind}"` };
      for await (const [key, value] of this.#db.iterator(range)) this.#tally(key, value, 1);
    }
  }

  #tally(key: string, value: unknown, sign: 1 | -1): void {
    if (value === undefined) return;
    if (key.startsWith('r!')) this.counters.repositories += sign;
    else if (key.startsWith('t!')) this.counters.tags += sign;
    else if (key.startsWith('d!')) this.counters.damaged += sign;
    else if (key.startsWith('a!')) this.counters.tokens += sign;
    else if (key.startsWith('c!')) this.counters.scopeMaps += sign;
    else {
      this.counters.blobs += sign;
      this.counters.bytes += sign * (value as BlobRecord).size;
    }
  }
}

async function opened(folder: string, deadline: number): Promise<Level<string, unknown>> {
  for (;;) {
    const db = new Level<string, unknown>(folder, { valueEncoding: 'json' });
    try {
      await db.open();
      return db;
    } catch (error) {
      const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
      if (cause?.code !== 'LEVEL_LOCKED') throw cause ?? error;
      if (Date.now() >= deadline) {
        throw new Error(
          `another storage service uses this data volume (${folder} is locked): stop it, or give this one a data volume of its own`,
          { cause },
        );
      }
      await sleep(200);
    }
  }
}
