import type { StoredEvent } from '#proto/bus/events.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import type { WebhookPosition } from '#proto/status/webhooks.ts';
import type { LinkPause } from '#proto/sync/pause.ts';
import type { Database } from './database.ts';
import type { JournalEntry } from './journal.ts';
import { keys, kinds, prefix, rangeOf } from './keys.ts';
import type {
  AgeMarks,
  AgeRecord,
  ArchiveSettingsRecord,
  BackupRecord,
  BehindRecord,
  BlobRecord,
  ChildRecord,
  CursorRecord,
  DamagedRecord,
  EndedSessionRecord,
  ForwardingRecord,
  IngestRecord,
  KeptDelta,
  LeftOutRecord,
  LeftOutReferrersRecord,
  ManifestRecord,
  MarkRecord,
  OutboxRecord,
  ParkedRecord,
  PeerRecord,
  ReferrerRecord,
  RefusedRecord,
  RestoredRecord,
  ScopeMapRecord,
  SendingRecord,
  SetRecord,
  StartsRecord,
  TagOriginRecord,
  TokenRecord,
  TransferredRecord,
  UncomparedRecord,
  UnsentRecord,
  VersionRecord,
  WithdrawnRecord,
} from './records.ts';

/** Kinds of records that a repository with content has. */
const HOLDING = [kinds.link, kinds.manifest, kinds.tag, kinds.base, kinds.referrer];

/** Where records are read: the database, or a snapshot of it. */
export type RecordSource = Pick<Database, 'level' | 'getMany' | 'getNow' | 'failing'>;

/**
 * Typed reads of all records:
 *
 *   `tag(…)`                one record; undefined if it does not exist
 *   `…ByDigest(…)`          one result per digest, in their order; likewise `…ByRepository`
 *   `…OfRepository(…)`      a range in the order of keys; likewise `…OfSubject`, `…OfManifest`
 *   `all…()`, and plurals   all records of a kind, in the order of keys
 */
export class MetadataReader {
  readonly #database: RecordSource;

  constructor(database: RecordSource) {
    this.#database = database;
  }

  blobsByDigest = (digests: string[]) => this.many<BlobRecord>(digests.map((digest) => keys.blob(digest)));
  damagedByDigest = (digests: string[]) =>
    this.many<DamagedRecord>(digests.map((digest) => keys.damaged(digest)));
  linksByDigest = (repository: string, digests: string[]) =>
    this.many<object>(digests.map((digest) => keys.link(repository, digest)));
  manifestsByDigest = (repository: string, digests: string[]) =>
    this.many<ManifestRecord>(digests.map((digest) => keys.manifest(repository, digest)));

  /** For children of an index: those that it leaves out. */
  leftOutByDigest = (repository: string, digests: string[], index: string) =>
    this.many<LeftOutRecord>(digests.map((digest) => keys.leftOut(repository, digest, index)));
  leftOutReferrersBySubject = (repository: string, subjects: string[]) =>
    this.many<LeftOutReferrersRecord>(subjects.map((subject) => keys.leftOutReferrers(repository, subject)));
  /** The link of the blob, or the manifest, in each of these repositories. */
  linksByRepository = (repositories: string[], digest: string) =>
    this.many<object>(repositories.map((repository) => keys.link(repository, digest)));
  manifestsByRepository = (repositories: string[], digest: string) =>
    this.many<ManifestRecord>(repositories.map((repository) => keys.manifest(repository, digest)));

  blob = (digest: string) => this.#one<BlobRecord>(keys.blob(digest));
  repository = (repository: string) => this.#one<object>(keys.repository(repository));
  link = (repository: string, digest: string) => this.#one<object>(keys.link(repository, digest));
  manifest = (repository: string, digest: string) =>
    this.#one<ManifestRecord>(keys.manifest(repository, digest));
  tag = (repository: string, tag: string) => this.#one<string>(keys.tag(repository, tag));
  base = (repository: string, tag: string) => this.#one<string>(keys.base(repository, tag));
  sending = (repository: string, tag: string) => this.#one<SendingRecord>(keys.sending(repository, tag));
  unsent = (repository: string, digest: string) => this.#one<UnsentRecord>(keys.unsent(repository, digest));
  withdrawn = (repository: string, digest: string) =>
    this.#one<WithdrawnRecord>(keys.withdrawn(repository, digest));
  session = (repository: string, digest: string) => this.#one<string>(keys.session(repository, digest));
  ingest = (id: string) => this.#one<IngestRecord>(keys.ingest(id));
  ingestsById = (ids: string[]) => this.many<IngestRecord>(ids.map((id) => keys.ingest(id)));
  delta = (digest: string) => this.#one<KeptDelta>(keys.delta(digest));
  deltasByDigest = (digests: string[]) => this.many<KeptDelta>(digests.map((digest) => keys.delta(digest)));
  refusedDelta = (target: string, pair: string) => this.#one<RefusedRecord>(keys.refusedDelta(target, pair));
  transferredByDigest = (digests: string[]) =>
    this.many<TransferredRecord>(digests.map((digest) => keys.transferred(digest)));
  token = (name: string) => this.#one<TokenRecord>(keys.token(name));
  scopeMap = (name: string) => this.#one<ScopeMapRecord>(keys.scopeMap(name));
  webhook = (webhook: string) => this.#one<WebhookPosition>(keys.webhook(webhook));
  child = (name: string) => this.#one<ChildRecord>(keys.child(name));
  instance = () => this.#one<string>(keys.instance);
  archiveSettings = () => this.#one<ArchiveSettingsRecord>(keys.archiveSettings);
  starts = () => this.#one<StartsRecord>(keys.starts);
  parent = () => this.#one<string>(keys.parent);
  originsSince = () => this.#one<number>(keys.originsSince);
  tagOrigin = (repository: string, tag: string) =>
    this.#one<TagOriginRecord>(keys.tagOrigin(repository, tag));
  tagOriginsOfRepository = (repository: string) =>
    this.range<TagOriginRecord>(prefix(kinds.tagOrigin, repository));
  repaired = () => this.#one<string>(keys.repaired);
  cursor = () => this.#one<CursorRecord>(keys.cursor);
  pause = () => this.#one<LinkPause>(keys.pause);
  ageMarks = () => this.#one<AgeMarks>(keys.ageMarks);
  age = () => this.#one<AgeRecord>(keys.age);
  history = () => this.#one<StoredEvent>(keys.history);
  forwarding = () => this.#one<ForwardingRecord>(keys.forwarding);
  declared = () => this.#one<DeclaredAccount[]>(keys.declared);
  term = () => this.#one<number>(keys.term);
  journalEntry = (number: number) => this.#one<JournalEntry>(keys.journalEntry(number));
  backup = () => this.#one<BackupRecord>(keys.backup);
  restored = () => this.#one<RestoredRecord>(keys.restored);
  closed = () => this.#one<boolean>(keys.closed);
  signingKey = () => this.#one<string>(keys.signing);

  /** The ranges below yield `[key without its prefix, value]`, in bytewise order of the key. */
  repositories = (after?: string) => this.range<object>(prefix(kinds.repository), after);
  tagsOfRepository = (repository: string, after?: string) =>
    this.range<string>(prefix(kinds.tag, repository), after);
  /** By `<repository>!<tag>`. */
  allTags = (after?: string) => this.range<string>(prefix(kinds.tag), after);
  allBases = (after?: string) => this.range<string>(prefix(kinds.base), after);
  basesOfRepository = (repository: string, after?: string) =>
    this.range<string>(prefix(kinds.base, repository), after);
  referrersOfSubject = (repository: string, subject: string, after?: string) =>
    this.range<ReferrerRecord>(prefix(kinds.referrer, repository, subject), after);
  /** By `<subject>!<digest>`. */
  referrersOfRepository = (repository: string, after?: string) =>
    this.range<ReferrerRecord>(prefix(kinds.referrer, repository), after);
  marks = (after?: string) => this.range<MarkRecord>(prefix(kinds.mark), after);
  ingests = () => this.range<IngestRecord>(prefix(kinds.ingest));
  allBlobs = (after?: string) => this.range<BlobRecord>(prefix(kinds.blob), after);
  allDamaged = (after?: string) => this.range<DamagedRecord>(prefix(kinds.damaged), after);
  allTransferred = () => this.range<TransferredRecord>(prefix(kinds.transferred));
  allDeltas = (after?: string) => this.range<KeptDelta>(prefix(kinds.delta), after);
  /** By `<target>!<pair>`. */
  allRefusedDeltas = (after?: string) => this.range<RefusedRecord>(prefix(kinds.refusedDelta), after);
  /** By pair. */
  refusedDeltasOf = (target: string) => this.range<RefusedRecord>(prefix(kinds.refusedDelta, target));
  linksOfRepository = (repository: string) => this.range<object>(prefix(kinds.link, repository));
  manifestsOfRepository = (repository: string) =>
    this.range<ManifestRecord>(prefix(kinds.manifest, repository));
  /** By `<repository>!<tag>`. */
  allSending = (after?: string) => this.range<SendingRecord>(prefix(kinds.sending), after);
  sendingOfRepository = (repository: string) => this.range<SendingRecord>(prefix(kinds.sending, repository));
  /** These three by `<repository>!<digest>`; parked ones also by `<repository>!<tag>`. */
  allUnsent = (after?: string) => this.range<UnsentRecord>(prefix(kinds.unsent), after);
  allWithdrawn = (after?: string) => this.range<WithdrawnRecord>(prefix(kinds.withdrawn), after);
  allParked = (after?: string) => this.range<ParkedRecord>(prefix(kinds.parked), after);
  /** By `<repository>!<tag>`. */
  allBehind = (after?: string) => this.range<BehindRecord>(prefix(kinds.behind), after);
  behindOfRepository = (repository: string, after?: string) =>
    this.range<BehindRecord>(prefix(kinds.behind, repository), after);
  behindByTag = (repository: string, tags: string[]) =>
    this.many<BehindRecord>(tags.map((tag) => keys.behind(repository, tag)));
  allUncompared = (after?: string) => this.range<UncomparedRecord>(prefix(kinds.uncompared), after);
  uncompared = (repository: string) => this.#one<UncomparedRecord>(keys.uncompared(repository));
  uncomparedByRepository = (repositories: string[]) =>
    this.many<UncomparedRecord>(repositories.map((repository) => keys.uncompared(repository)));
  tagsByName = (repository: string, tags: string[]) =>
    this.many<string>(tags.map((tag) => keys.tag(repository, tag)));
  unsentOfRepository = (repository: string) => this.range<UnsentRecord>(prefix(kinds.unsent, repository));
  withdrawnOfRepository = (repository: string) =>
    this.range<WithdrawnRecord>(prefix(kinds.withdrawn, repository));
  parkedOfRepository = (repository: string) => this.range<ParkedRecord>(prefix(kinds.parked, repository));
  /** By `<repository>!<digest>`. */
  allSessions = () => this.range<string>(prefix(kinds.session));
  sessionsOfRepository = (repository: string) => this.range<string>(prefix(kinds.session, repository));
  /** By `<digest>!<index>`. */
  leftOutOfRepository = (repository: string, after?: string) =>
    this.range<LeftOutRecord>(prefix(kinds.leftOut, repository), after);
  /** By `<repository>!<subject>`. */
  allLeftOutReferrers = (after?: string) =>
    this.range<LeftOutReferrersRecord>(prefix(kinds.leftOutReferrers), after);
  leftOutReferrersOfRepository = (repository: string) =>
    this.range<LeftOutReferrersRecord>(prefix(kinds.leftOutReferrers, repository));
  /** By index that leaves the manifest out. */
  leftOutOfManifest = (repository: string, digest: string) =>
    this.range<LeftOutRecord>(prefix(kinds.leftOut, repository, digest));

  tokens = (after?: string) => this.range<TokenRecord>(prefix(kinds.token), after);
  outbox = () => this.range<OutboxRecord>(prefix(kinds.outbox));
  webhooks = () => this.range<WebhookPosition>(prefix(kinds.webhook));
  endedSession = (id: string) => this.#one<EndedSessionRecord>(keys.endedSession(id));
  endedSessions = () => this.range<EndedSessionRecord>(prefix(kinds.endedSession));
  children = (after?: string) => this.range<ChildRecord>(prefix(kinds.child), after);
  scopeMaps = (after?: string) => this.range<ScopeMapRecord>(prefix(kinds.scopeMap), after);

  peer = (peer: string) => this.#one<PeerRecord>(keys.peer(peer));
  peers = () => this.range<PeerRecord>(prefix(kinds.peer));
  archiveSet = (peer: string, number: number) => this.#one<SetRecord>(keys.archiveSet(peer, number));
  archiveSets = (peer: string) => this.range<SetRecord>(prefix(kinds.archiveSet, peer));
  /** Set that carried each of these to the peer. */
  carriedByDigest = (peer: string, digests: string[]) =>
    this.many<number>(digests.map((digest) => keys.carried(peer, digest)));
  /** By digest. */
  carried = (peer: string) => this.range<number>(prefix(kinds.carried, peer));
  /** By `<repository>!<tag>`. */
  tagVersions = (peer: string) => this.range<VersionRecord>(prefix(kinds.tagVersion, peer));

  /** What is known of one tag. */
  async ofTag(repository: string, tag: string) {
    const [digest, base, behind, parked, origin] = await this.many<unknown>([
      keys.tag(repository, tag),
      keys.base(repository, tag),
      keys.behind(repository, tag),
      keys.parked(repository, tag),
      keys.tagOrigin(repository, tag),
    ]);
    return [digest, base, behind, parked, origin] as [
      digest: string | undefined,
      base: string | undefined,
      behind: BehindRecord | undefined,
      parked: ParkedRecord | undefined,
      origin: TagOriginRecord | undefined,
    ];
  }

  /** Whether the tag has another target than its base, at this instant. @param name `<repository>!<tag>` */
  differsFromBaseNow(name: string): boolean {
    try {
      const [digest, base] = this.#database.getNow([`${kinds.tag}!${name}`, `${kinds.base}!${name}`]);
      return digest !== base;
    } catch (error) {
      throw this.#database.failing(error);
    }
  }

  /** Every link or manifest, as `[repository, digest]`. */
  async *named(
    kind: typeof kinds.link | typeof kinds.manifest,
  ): AsyncGenerator<[repository: string, digest: string]> {
    try {
      for await (const key of this.#database.level.keys(rangeOf(prefix(kind)))) {
        yield key.slice(2).split('!') as [string, string];
      }
    } catch (error) {
      throw this.#database.failing(error);
    }
  }

  /** Whether the repository has no content. `ignored` takes the digest of a link: true to disregard it. */
  async empty(repository: string, ignored: (digest: string) => boolean): Promise<boolean> {
    for (const kind of HOLDING) {
      for await (const [name] of this.range(prefix(kind, repository))) {
        if (kind !== kinds.link || !ignored(name)) return false;
      }
    }
    return true;
  }

  async #one<T>(key: string): Promise<T | undefined> {
    return (await this.many<T>([key]))[0];
  }

  protected async many<T>(keys: string[]): Promise<(T | undefined)[]> {
    try {
      return (await this.#database.getMany(keys)) as (T | undefined)[];
    } catch (error) {
      throw this.#database.failing(error);
    }
  }

  protected async *range<T>(begin: string, after?: string): AsyncGenerator<[string, T]> {
    try {
      for await (const [key, value] of this.#database.level.iterator(rangeOf(begin, after))) {
        yield [key.slice(begin.length), value as T];
      }
    } catch (error) {
      throw this.#database.failing(error);
    }
  }
}
