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

/*
 * Metadata: the records of storage, in LevelDB. Together with the files of committed blobs they are the truth.
 *
 *   keys.ts, records.ts   all keys, and the records stored under them
 *   changes.ts            builds the changes of a batch; which of them need no sync
 *   database.ts           LevelDB: checks at opening, batches, clean close (metadata-state.ts, boot.ts)
 *   journal.ts            the journal of changes for children
 *   counters.ts           counters for the status
 *
 * A change is built with `put` and `drop`; `write` stores a batch of them, and their entries of the journal, atomically
 * and synced. After a failed write or an unreadable record, `failure` rejects and storage must be reopened.
 */

/** Version of the table of keys in keys.ts. */
export const VERSION = 3;
/** Version without a journal. */
const BEFORE_JOURNAL = 2;
/** Version without records of outgoing changes. */
const BEFORE_OUTGOING = 1;

export { type Change, drop, put } from './changes.ts';

/** Kinds of records that a repository with content has. */
const HOLDING = [kinds.link, kinds.manifest, kinds.tag, kinds.base, kinds.referrer];

/** Typed access to all records: reads, ranges in the order of keys, batches. */
export class Metadata implements AsyncDisposable {
  readonly #database: Database;
  readonly #db: Database['level'];
  readonly #counters = new RecordCounters();
  #journal = new Journal(1, 0);
  /** The machine was rebooted since the last opening: unsynced writes may be missing. */
  readonly afterReboot: boolean;

  /**
   * @param patienceMs how long to wait for another process that has the folder open
   * @throws Fault `volume-unusable`; an Error if another process still has it open
   */
  static async open(folder: string, patienceMs = 10_000): Promise<Metadata> {
    const database = await Database.open(folder, Date.now() + patienceMs);
    const [version, before] = await database.level.getMany([keys.version, keys.boot]);
    if (![undefined, VERSION, BEFORE_JOURNAL, BEFORE_OUTGOING].includes(version as number)) {
      await database.abandon();
      throw new Fault(
        'volume-unusable',
        `${folder} has metadata version ${version}, this Terrace supports ${VERSION}: use the Terrace that wrote it`,
      );
    }
    const { boot } = database;
    const metadata = new Metadata(database, before !== boot);
    await metadata.#count();
    // The version last: a migration that a crash interrupts runs again.
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

  /** Rejects when the metadata cannot be relied on until it is reopened. */
  get failure(): Promise<never> {
    return this.#database.failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#database.close();
  }

  get counters(): Counters {
    return this.#counters.counters;
  }

  /** Instant for an outgoing record: later than all before it, even if the clock was set back; in ms since 1970. */
  instant(now: number): number {
    return this.#counters.instant(now);
  }

  // ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

  blobs = (digests: string[]) => this.#many<BlobRecord>(digests.map((digest) => keys.blob(digest)));
  links = (repository: string, digests: string[]) =>
    this.#many<object>(digests.map((digest) => keys.link(repository, digest)));
  manifests = (repository: string, digests: string[]) =>
    this.#many<ManifestRecord>(digests.map((digest) => keys.manifest(repository, digest)));

  /** For children of an index: the platform of each that it leaves out. */
  leftOut = (repository: string, digests: string[], index: string) =>
    this.#many<string>(digests.map((digest) => keys.leftOut(repository, digest, index)));
  /** Which of these repositories link the blob. */
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
  webhook = (webhook: string) => this.#one<WebhookPlace>(keys.webhook(webhook));
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

  /** The ranges below yield `[key without its prefix, value]`, in bytewise order of the key. */
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
  /** These three by `<repository>!<digest>`; parked ones also by `<repository>!<tag>`. */
  allUnsent = (after?: string) => this.#range<UnsentRecord>(prefix(kinds.unsent), after);
  allWithdrawn = (after?: string) => this.#range<WithdrawnRecord>(prefix(kinds.withdrawn), after);
  allParked = (after?: string) => this.#range<ParkedRecord>(prefix(kinds.parked), after);
  unsentOf = (repository: string) => this.#range<UnsentRecord>(prefix(kinds.unsent, repository));
  withdrawnOf = (repository: string) => this.#range<WithdrawnRecord>(prefix(kinds.withdrawn, repository));
  parkedOf = (repository: string) => this.#range<ParkedRecord>(prefix(kinds.parked, repository));
  sessionsOf = (repository: string) => this.#range<string>(prefix(kinds.session, repository));
  /** Platforms by `<digest>!<index>`. */
  leftOutOf = (repository: string, after?: string) =>
    this.#range<string>(prefix(kinds.leftOut, repository), after);
  /** Platform of the manifest, by index that leaves it out. */
  leavingOut = (repository: string, digest: string) =>
    this.#range<string>(prefix(kinds.leftOut, repository, digest));

  /** Every link or manifest, as `[repository, digest]`. */
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

  /** Whether the repository has no content. `ignored` takes a link as `<repository>!<digest>`: true to disregard it. */
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

  /** Entries of the journal that no unfinished batch precedes: `[number, entry]`. */
  async *journal(after: number): AsyncGenerator<[number: number, Entry]> {
    const { head } = this.#journal;
    for await (const [number, entry] of this.#range<Entry>(prefix(kinds.entry), keys.entry(after).slice(2))) {
      if (Number(number) > head) return;
      yield [Number(number), entry];
    }
  }

  /** The last of these entries. */
  async journalEnd(): Promise<[number: number, Entry] | undefined> {
    const range = { gt: prefix(kinds.entry), lte: keys.entry(this.#journal.head), reverse: true, limit: 1 };
    for await (const [key, entry] of this.#db.iterator(range)) return [Number(key.slice(2)), entry as Entry];
    return undefined;
  }

  // ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Writes a batch: atomic, synced when it resolves. Without changes nothing is written.
   * @throws Fault `no-space`
   */
  async write(changes: Change[]): Promise<void> {
    if (changes.length === 0) return;
    // The locks that the caller holds keep others from writing these keys.
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

  /**
   * Unsynced, for ingests, sessions and records whose loss only causes a delay (`isNoted`): survives the end of this
   * process, but not a power cut.
   */
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
