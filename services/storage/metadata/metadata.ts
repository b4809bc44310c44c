import type { StoredEvent } from '#proto/bus/events.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import type { WebhookPlace } from '#proto/status/webhooks.ts';
import { type Change, set } from './changes.ts';
import { type Counters, RecordCounters } from './counters.ts';
import { Database } from './database.ts';
import { type Entry, Journal } from './journal.ts';
import { keys, kinds, prefix, rangeOf } from './keys.ts';
import { allUnsent } from './migration.ts';
import type {
  AnnouncementRecord,
  BlobRecord,
  ChildRecord,
  CursorRecord,
  DamagedRecord,
  IngestRecord,
  ManifestRecord,
  MarkRecord,
  ParkedRecord,
  ReferrerRecord,
  ScopeMapRecord,
  StartsRecord,
  TokenRecord,
  TransferredRecord,
  UnsentRecord,
  WithdrawnRecord,
} from './records.ts';

/** Of the table of keys in keys.ts. */
export const VERSION = 3;
/** Had no journal. */
const BEFORE_JOURNAL = 2;
/** Knew nothing of what is outgoing. */
const BEFORE_OUTGOING = 1;

export { type Change, drop, put } from './changes.ts';

/** A repository with any of these is not empty. */
const HOLDING = [kinds.link, kinds.manifest, kinds.tag, kinds.base, kinds.referrer];

export class Metadata implements AsyncDisposable {
  readonly #database: Database;
  readonly #db: Database['level'];
  readonly #counters = new RecordCounters();
  #journal = new Journal(1, 0);
  /** The machine was started since the last opening: what was not synced may be missing. */
  readonly afterReboot: boolean;

  /**
   * @param patienceMs how long to wait for another process that has the folder open
   * @throws Error that says what to do, where it can't be opened
   */
  static async open(folder: string, patienceMs = 10_000): Promise<Metadata> {
    const database = await Database.open(folder, Date.now() + patienceMs);
    const [version, before] = await database.level.getMany([keys.version, keys.boot]);
    if (![undefined, VERSION, BEFORE_JOURNAL, BEFORE_OUTGOING].includes(version as number)) {
      await database.abandon();
      throw new Fault(
        'volume-unusable',
        `${folder} has version ${version} of the metadata, this Terrace reads ${VERSION}: use the one that wrote it`,
      );
    }
    const { boot } = database;
    const metadata = new Metadata(database, before !== boot);
    await metadata.#count();
    // The version comes last: what a crash leaves half done is done again.
    if (version === BEFORE_OUTGOING) await allUnsent(metadata);
    if (before !== boot || version !== VERSION) {
      await metadata.write([set(keys.version, VERSION), set(keys.boot, boot)]);
    }
    return metadata;
  }

  private constructor(database: Database, afterReboot: boolean) {
    this.#database = database;
    this.#db = database.level;
    this.afterReboot = afterReboot;
  }

  /** Rejects where nothing can be relied on until they are opened again. */
  get failure(): Promise<never> {
    return this.#database.failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#database.close();
  }

  get counters(): Counters {
    return this.#counters.counters;
  }

  /** When something became outgoing: later than all before it, even where the clock was set back. */
  instant(now: number): number {
    return this.#counters.instant(now);
  }

  // ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

  blobs = (digests: string[]) => this.#many<BlobRecord>(digests.map((digest) => keys.blob(digest)));
  links = (repository: string, digests: string[]) =>
    this.#many<object>(digests.map((digest) => keys.link(repository, digest)));
  manifests = (repository: string, digests: string[]) =>
    this.#many<ManifestRecord>(digests.map((digest) => keys.manifest(repository, digest)));

  /** Of children of an index, the platforms of those that it leaves out. */
  leftOut = (repository: string, digests: string[], index: string) =>
    this.#many<string>(digests.map((digest) => keys.leftOut(repository, digest, index)));
  /** Which of these repositories link the blob? */
  linking = (repositories: string[], digest: string) =>
    this.#many<object>(repositories.map((repository) => keys.link(repository, digest)));

  blob = (digest: string) => this.#one<BlobRecord>(keys.blob(digest));
  repository = (repository: string) => this.#one<object>(keys.repository(repository));
  link = (repository: string, digest: string) => this.#one<object>(keys.link(repository, digest));
  manifest = (repository: string, digest: string) =>
    this.#one<ManifestRecord>(keys.manifest(repository, digest));
  tag = (repository: string, tag: string) => this.#one<string>(keys.tag(repository, tag));
  unsent = (repository: string, digest: string) => this.#one<UnsentRecord>(keys.unsent(repository, digest));
  withdrawn = (repository: string, digest: string) =>
    this.#one<WithdrawnRecord>(keys.withdrawn(repository, digest));
  session = (repository: string, digest: string) => this.#one<string>(keys.session(repository, digest));
  ingest = (id: string) => this.#one<IngestRecord>(keys.ingest(id));
  transferred = (digests: string[]) =>
    this.#many<TransferredRecord>(digests.map((digest) => keys.transferred(digest)));
  token = (name: string) => this.#one<TokenRecord>(keys.token(name));
  scopeMap = (name: string) => this.#one<ScopeMapRecord>(keys.scopeMap(name));
  webhook = (of: string) => this.#one<WebhookPlace>(keys.webhook(of));
  child = (name: string) => this.#one<ChildRecord>(keys.child(name));
  instance = () => this.#one<string>(keys.instance);
  starts = () => this.#one<StartsRecord>(keys.starts);
  parent = () => this.#one<string>(keys.parent);
  repaired = () => this.#one<string>(keys.repaired);
  cursor = () => this.#one<CursorRecord>(keys.cursor);
  history = () => this.#one<StoredEvent>(keys.history);
  declared = () => this.#one<DeclaredAccount[]>(keys.declared);
  term = () => this.#one<number>(keys.term);
  entry = (number: number) => this.#one<Entry>(keys.entry(number));
  closed = () => this.#one<boolean>(keys.closed);
  signingKey = () => this.#one<string>(keys.signing);

  /** The iterations below give `[the last part of the key, the value]`, in bytewise order of the former. */
  repositories = (after?: string) => this.#range<object>(prefix(kinds.repository), after);
  tags = (repository: string, after?: string) => this.#range<string>(prefix(kinds.tag, repository), after);
  /** By `<repository>!<tag>`. */
  allTags = (after?: string) => this.#range<string>(prefix(kinds.tag), after);
  allBases = (after?: string) => this.#range<string>(prefix(kinds.base), after);
  bases = (repository: string, after?: string) => this.#range<string>(prefix(kinds.base, repository), after);
  referrers = (repository: string, subject: string, after?: string) =>
    this.#range<ReferrerRecord>(prefix(kinds.referrer, repository, subject), after);
  /** By `<subject>!<digest>`. */
  referrersOf = (repository: string, after?: string) =>
    this.#range<ReferrerRecord>(prefix(kinds.referrer, repository), after);
  marks = (after?: string) => this.#range<MarkRecord>(prefix(kinds.mark), after);
  ingests = () => this.#range<IngestRecord>(prefix(kinds.ingest));
  allBlobs = (after?: string) => this.#range<BlobRecord>(prefix(kinds.blob), after);
  allDamaged = (after?: string) => this.#range<DamagedRecord>(prefix(kinds.damaged), after);
  allTransferred = () => this.#range<TransferredRecord>(prefix(kinds.transferred));
  linksOf = (repository: string) => this.#range<object>(prefix(kinds.link, repository));
  manifestsOf = (repository: string) => this.#range<ManifestRecord>(prefix(kinds.manifest, repository));
  /** Of the next, the last part is the repository and more: `<repository>!<digest>`, or `!<tag>`. */
  allUnsent = (after?: string) => this.#range<UnsentRecord>(prefix(kinds.unsent), after);
  allWithdrawn = (after?: string) => this.#range<WithdrawnRecord>(prefix(kinds.withdrawn), after);
  allParked = (after?: string) => this.#range<ParkedRecord>(prefix(kinds.parked), after);
  unsentOf = (repository: string) => this.#range<UnsentRecord>(prefix(kinds.unsent, repository));
  withdrawnOf = (repository: string) => this.#range<WithdrawnRecord>(prefix(kinds.withdrawn, repository));
  parkedOf = (repository: string) => this.#range<ParkedRecord>(prefix(kinds.parked, repository));
  sessionsOf = (repository: string) => this.#range<string>(prefix(kinds.session, repository));
  /** By `<digest>!<index>`: platforms. */
  leftOutOf = (repository: string, after?: string) =>
    this.#range<string>(prefix(kinds.leftOut, repository), after);
  /** By index, of those that leave the manifest out: its platform. */
  leavingOut = (repository: string, digest: string) =>
    this.#range<string>(prefix(kinds.leftOut, repository, digest));

  /** Every `[repository, digest]` of links or manifests. */
  async *named(
    kind: typeof kinds.link | typeof kinds.manifest,
  ): AsyncGenerator<[repository: string, digest: string]> {
    try {
      for await (const key of this.#db.keys(rangeOf(prefix(kind)))) {
        yield key.slice(2).split('!') as [string, string];
      }
    } catch (error) {
      throw this.#database.failing(error);
    }
  }

  /** Has the repository nothing in it? `ignored` says so of links, as `<repository>!<digest>`. */
  async empty(repository: string, ignored: (link: string) => boolean): Promise<boolean> {
    for (const kind of HOLDING) {
      for await (const [name] of this.#range(prefix(kind, repository))) {
        if (kind !== kinds.link || !ignored(`${repository}!${name}`)) return false;
      }
    }
    return true;
  }
  tokens = (after?: string) => this.#range<TokenRecord>(prefix(kinds.token), after);
  announcements = () => this.#range<AnnouncementRecord>(prefix(kinds.announcement));
  webhooks = () => this.#range<WebhookPlace>(prefix(kinds.webhook));
  children = (after?: string) => this.#range<ChildRecord>(prefix(kinds.child), after);
  scopeMaps = (after?: string) => this.#range<ScopeMapRecord>(prefix(kinds.scopeMap), after);

  /** Entries of the journal that nothing still to come precedes: `[number, entry]`. */
  async *journal(after: number): AsyncGenerator<[number: number, Entry]> {
    const { head } = this.#journal;
    for await (const [number, entry] of this.#range<Entry>(prefix(kinds.entry), keys.entry(after).slice(2))) {
      if (Number(number) > head) return;
      yield [Number(number), entry];
    }
  }

  /** The last of these. */
  async journalEnd(): Promise<[number: number, Entry] | undefined> {
    const range = { gt: prefix(kinds.entry), lte: keys.entry(this.#journal.head), reverse: true, limit: 1 };
    for await (const [key, entry] of this.#db.iterator(range)) return [Number(key.slice(2)), entry as Entry];
    return undefined;
  }

  // ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * All of it or nothing, on the disk when it returns. No changes: nothing is written.
   * @throws Fault `no-space`
   */
  async write(changes: Change[]): Promise<void> {
    if (changes.length === 0) return;
    // Nobody else writes these keys meanwhile: their locks are held.
    const counted = new Map(
      changes.filter(({ key }) => RecordCounters.counts(key)).map((each) => [each.key, each]),
    );
    const before = await this.#many([...counted.keys()]);
    const { entries, landed } = this.#journal.add(changes);
    try {
      await this.#database.batch([...changes, ...entries, ...this.#journal.trim()], true);
    } finally {
      landed();
    }
    for (const [key, change] of counted) {
      this.#counters.add(key, before.shift(), -1);
      if (change.type === 'put') this.#counters.add(key, change.value, 1);
    }
  }

  /** For ingests, sessions and what only delays (`isNoted`): survives the end of this process, not a power cut. */
  async note(changes: Change[]): Promise<void> {
    await this.#database.batch(changes, false);
  }

  async #one<T>(key: string): Promise<T | undefined> {
    return (await this.#many<T>([key]))[0];
  }

  async #many<T>(keys: string[]): Promise<(T | undefined)[]> {
    try {
      return (await this.#db.getMany(keys)) as (T | undefined)[];
    } catch (error) {
      throw this.#database.failing(error);
    }
  }

  async *#range<T>(begin: string, after?: string): AsyncGenerator<[string, T]> {
    try {
      for await (const [key, value] of this.#db.iterator(rangeOf(begin, after))) {
        yield [key.slice(begin.length), value as T];
      }
    } catch (error) {
      throw this.#database.failing(error);
    }
  }

  async #count(): Promise<void> {
    for (const kind of RecordCounters.kinds) {
      for await (const [key, value] of this.#db.iterator(rangeOf(prefix(kind))))
        this.#counters.add(key, value, 1);
    }
    const ends: number[] = [];
    for (const reverse of [false, true]) {
      for await (const key of this.#db.keys({ ...rangeOf(prefix(kinds.entry)), reverse, limit: 1 })) {
        ends.push(Number(key.slice(2)));
      }
    }
    this.#journal = new Journal(ends[0] ?? 1, ends[1] ?? 0);
  }
}
