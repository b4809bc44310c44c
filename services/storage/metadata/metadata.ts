import type { StoredEvent } from '#proto/bus/events.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import type { WebhookPlace } from '#proto/status/webhooks.ts';
import { type Change, set } from './changes.ts';
import { type Counters, RecordCounters } from './counters.ts';
import { Database } from './database.ts';
import { type Entry, entryKey, Journal } from './journal.ts';
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

/** Of the table of keys in changes.ts. */
export const VERSION = 3;
/** Had no journal. */
const BEFORE_JOURNAL = 2;
/** Knew nothing of what is outgoing. */
const BEFORE_OUTGOING = 1;

export { type Change, drop, put } from './changes.ts';

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
    const [version, before] = await database.level.getMany(['x!version', 'x!boot']);
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
      await metadata.write([set('x!version', VERSION), set('x!boot', boot)]);
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

  blobs = (digests: string[]) => this.#many<BlobRecord>(digests.map((digest) => `b!${digest}`));
  links = (repository: string, digests: string[]) =>
    this.#many<object>(digests.map((digest) => `l!${repository}!${digest}`));
  manifests = (repository: string, digests: string[]) =>
    this.#many<ManifestRecord>(digests.map((digest) => `m!${repository}!${digest}`));

  /** Of children of an index, the platforms of those that it leaves out. */
  leftOut = (repository: string, digests: string[], index: string) =>
    this.#many<string>(digests.map((digest) => `n!${repository}!${digest}!${index}`));
  /** Which of these repositories link the blob? */
  linking = (repositories: string[], digest: string) =>
    this.#many<object>(repositories.map((repository) => `l!${repository}!${digest}`));

  blob = (digest: string) => this.#one<BlobRecord>(`b!${digest}`);
  repository = (repository: string) => this.#one<object>(`r!${repository}`);
  link = (repository: string, digest: string) => this.#one<object>(`l!${repository}!${digest}`);
  manifest = (repository: string, digest: string) => this.#one<ManifestRecord>(`m!${repository}!${digest}`);
  tag = (repository: string, tag: string) => this.#one<string>(`t!${repository}!${tag}`);
  unsent = (repository: string, digest: string) => this.#one<UnsentRecord>(`u!${repository}!${digest}`);
  withdrawn = (repository: string, digest: string) => this.#one<WithdrawnRecord>(`v!${repository}!${digest}`);
  session = (repository: string, digest: string) => this.#one<string>(`o!${repository}!${digest}`);
  ingest = (id: string) => this.#one<IngestRecord>(`i!${id}`);
  transferred = (digests: string[]) => this.#many<TransferredRecord>(digests.map((digest) => `w!${digest}`));
  token = (name: string) => this.#one<TokenRecord>(`a!${name}`);
  scopeMap = (name: string) => this.#one<ScopeMapRecord>(`c!${name}`);
  webhook = (of: string) => this.#one<WebhookPlace>(`y!${of}`);
  child = (name: string) => this.#one<ChildRecord>(`h!${name}`);
  instance = () => this.#one<string>('x!instance');
  starts = () => this.#one<StartsRecord>('x!starts');
  parent = () => this.#one<string>('x!parent');
  repaired = () => this.#one<string>('x!repaired');
  cursor = () => this.#one<CursorRecord>('x!cursor');
  history = () => this.#one<StoredEvent>('x!history');
  declared = () => this.#one<DeclaredAccount[]>('x!declared');
  term = () => this.#one<number>('x!term');
  entry = (number: number) => this.#one<Entry>(entryKey(number));
  closed = () => this.#one<boolean>('x!closed');
  signingKey = () => this.#one<string>('k!signing');

  /** The iterations below give `[the last part of the key, the value]`, in bytewise order of the former. */
  repositories = (after?: string) => this.#range<object>('r!', after);
  tags = (repository: string, after?: string) => this.#range<string>(`t!${repository}!`, after);
  /** By `<repository>!<tag>`. */
  allTags = (after?: string) => this.#range<string>('t!', after);
  allBases = (after?: string) => this.#range<string>('s!', after);
  bases = (repository: string, after?: string) => this.#range<string>(`s!${repository}!`, after);
  referrers = (repository: string, subject: string, after?: string) =>
    this.#range<ReferrerRecord>(`f!${repository}!${subject}!`, after);
  /** By `<subject>!<digest>`. */
  referrersOf = (repository: string, after?: string) =>
    this.#range<ReferrerRecord>(`f!${repository}!`, after);
  marks = (after?: string) => this.#range<MarkRecord>('g!', after);
  ingests = () => this.#range<IngestRecord>('i!');
  allBlobs = (after?: string) => this.#range<BlobRecord>('b!', after);
  allDamaged = (after?: string) => this.#range<DamagedRecord>('d!', after);
  allTransferred = () => this.#range<TransferredRecord>('w!');
  linksOf = (repository: string) => this.#range<object>(`l!${repository}!`);
  manifestsOf = (repository: string) => this.#range<ManifestRecord>(`m!${repository}!`);
  /** Of the next, the last part is the repository and more: `<repository>!<digest>`, or `!<tag>`. */
  allUnsent = (after?: string) => this.#range<UnsentRecord>('u!', after);
  allWithdrawn = (after?: string) => this.#range<WithdrawnRecord>('v!', after);
  allParked = (after?: string) => this.#range<ParkedRecord>('p!', after);
  unsentOf = (repository: string) => this.#range<UnsentRecord>(`u!${repository}!`);
  withdrawnOf = (repository: string) => this.#range<WithdrawnRecord>(`v!${repository}!`);
  parkedOf = (repository: string) => this.#range<ParkedRecord>(`p!${repository}!`);
  sessionsOf = (repository: string) => this.#range<string>(`o!${repository}!`);
  /** By `<digest>!<index>`: platforms. */
  leftOutOf = (repository: string, after?: string) => this.#range<string>(`n!${repository}!`, after);
  /** By index, of those that leave the manifest out: its platform. */
  leavingOut = (repository: string, digest: string) => this.#range<string>(`n!${repository}!${digest}!`);

  /** Every `[repository, digest]` of links (`l`) or manifests (`m`). */
  async *named(kind: 'l' | 'm'): AsyncGenerator<[repository: string, digest: string]> {
    try {
      for await (const key of this.#db.keys({ gt: `${kind}!`, lt: `${kind}"` })) {
        yield key.slice(2).split('!') as [string, string];
      }
    } catch (error) {
      throw this.#database.failing(error);
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
  announcements = () => this.#range<AnnouncementRecord>('e!');
  webhooks = () => this.#range<WebhookPlace>('y!');
  children = (after?: string) => this.#range<ChildRecord>('h!', after);
  scopeMaps = (after?: string) => this.#range<ScopeMapRecord>('c!', after);

  /** Entries of the journal that nothing still to come precedes: `[number, entry]`. */
  async *journal(after: number): AsyncGenerator<[number: number, Entry]> {
    const { head } = this.#journal;
    for await (const [number, entry] of this.#range<Entry>('j!', entryKey(after).slice(2))) {
      if (Number(number) > head) return;
      yield [Number(number), entry];
    }
  }

  /** The last of these. */
  async journalEnd(): Promise<[number: number, Entry] | undefined> {
    const range = { gt: 'j!', lte: entryKey(this.#journal.head), reverse: true, limit: 1 };
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

  async *#range<T>(prefix: string, after?: string): AsyncGenerator<[string, T]> {
    // The character behind `!` ends the range of what begins with the prefix.
    const range = { gt: prefix + (after ?? ''), lt: `${prefix.slice(0, -1)}"` };
    try {
      for await (const [key, value] of this.#db.iterator(range)) {
        yield [key.slice(prefix.length), value as T];
      }
    } catch (error) {
      throw this.#database.failing(error);
    }
  }

  async #count(): Promise<void> {
    for (const kind of RecordCounters.kinds) {
      const range = { gt: `${kind}!`, lt: `${kind}"` };
      for await (const [key, value] of this.#db.iterator(range)) this.#counters.add(key, value, 1);
    }
    const ends: number[] = [];
    for (const reverse of [false, true]) {
      for await (const key of this.#db.keys({ gt: 'j!', lt: 'j"', reverse, limit: 1 })) {
        ends.push(Number(key.slice(2)));
      }
    }
    this.#journal = new Journal(ends[0] ?? 1, ends[1] ?? 0);
  }
}
