import type { StoredEvent } from '#proto/bus/events.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import type { WebhookPosition } from '#proto/status/webhooks.ts';
import type { LinkPause } from '#proto/sync/pause.ts';
import { type Kind, keys, kindOf, kinds } from './keys.ts';
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

/** One change of a batch. */
export type Change = { type: 'put'; key: string; value: unknown } | { type: 'del'; key: string };

export const set = (key: string, value: unknown): Change => ({ type: 'put', key, value });
const del = (key: string): Change => ({ type: 'del', key });

/** Kinds whose changes may be unsynced; below, keys, and kinds of which only deletions, or only puts, may be. */
const UNSYNCED: ReadonlySet<Kind> = new Set([kinds.ingest, kinds.session, kinds.webhook, kinds.refusedDelta]);
const UNSYNCED_KEYS: ReadonlySet<string> = new Set([keys.history, keys.age, keys.ageMarks, keys.forwarding]);
const UNSYNCED_DELETIONS: ReadonlySet<Kind> = new Set([kinds.outbox, kinds.transferred]);
const UNSYNCED_PUTS: ReadonlySet<Kind> = new Set([kinds.child, kinds.delta]);

/**
 * Whether a batch of such changes may be written without a sync (`Metadata.writeUnsynced`). A batch with any other
 * change is synced, which shows what had reached the disk when a log turns out to be damaged.
 */
export function mayBeUnsynced({ key, deleted }: { key: string; deleted: boolean }): boolean {
  if (UNSYNCED_KEYS.has(key)) return true;
  const kind = kindOf(key);
  return (
    kind !== undefined && (UNSYNCED.has(kind) || (deleted ? UNSYNCED_DELETIONS : UNSYNCED_PUTS).has(kind))
  );
}

/** Changes that write a record. */
export const put = {
  blob: (digest: string, record: BlobRecord) => [set(keys.blob(digest), record), del(keys.damaged(digest))],
  link: (repository: string, digest: string) => [
    set(keys.repository(repository), {}),
    set(keys.link(repository, digest), {}),
  ],
  transferred: (digest: string, record: TransferredRecord) => [set(keys.transferred(digest), record)],
  delta: (digest: string, record: KeptDelta) => [set(keys.delta(digest), record)],
  refusedDelta: (target: string, pair: string, record: RefusedRecord) => [
    set(keys.refusedDelta(target, pair), record),
  ],
  damaged: (digest: string, record: DamagedRecord) => [
    del(keys.blob(digest)),
    set(keys.damaged(digest), record),
  ],
  manifest: (repository: string, digest: string, record: ManifestRecord) => [
    set(keys.repository(repository), {}),
    set(keys.manifest(repository, digest), record),
  ],
  referrer: (repository: string, subject: string, digest: string, record: ReferrerRecord) => [
    set(keys.referrer(repository, subject, digest), record),
  ],
  /** Without an origin, it is unknown. */
  tag: (repository: string, tag: string, digest: string, origin?: TagOriginRecord) => [
    set(keys.tag(repository, tag), digest),
    origin ? set(keys.tagOrigin(repository, tag), origin) : del(keys.tagOrigin(repository, tag)),
  ],
  /** Parent and layer agree on the tag: the layer is not behind on it, and no change of it is being sent. */
  base: (repository: string, tag: string, digest: string) => [
    set(keys.base(repository, tag), digest),
    del(keys.behind(repository, tag)),
    del(keys.sending(repository, tag)),
  ],
  sending: (repository: string, tag: string, record: SendingRecord) => [
    set(keys.sending(repository, tag), record),
  ],
  uncompared: (repository: string, record: UncomparedRecord) => [set(keys.uncompared(repository), record)],
  behind: (repository: string, tag: string, record: BehindRecord) => [
    set(keys.behind(repository, tag), record),
  ],
  unsent: (repository: string, digest: string, record: UnsentRecord) => [
    set(keys.unsent(repository, digest), record),
  ],
  withdrawn: (repository: string, digest: string, record: WithdrawnRecord) => [
    set(keys.withdrawn(repository, digest), record),
  ],
  parked: (repository: string, reference: string, record: ParkedRecord) => [
    set(keys.parked(repository, reference), record),
  ],
  session: (repository: string, digest: string, session: string) => [
    set(keys.session(repository, digest), session),
  ],
  leftOut: (repository: string, digest: string, index: string, record: LeftOutRecord) => [
    set(keys.leftOut(repository, digest, index), record),
  ],
  leftOutReferrers: (repository: string, subject: string, record: LeftOutReferrersRecord) => [
    set(keys.leftOutReferrers(repository, subject), record),
  ],
  ingest: (id: string, record: IngestRecord) => [set(keys.ingest(id), record)],
  token: (name: string, record: TokenRecord) => [set(keys.token(name), record), del(keys.closed)],
  scopeMap: (name: string, record: ScopeMapRecord) => [set(keys.scopeMap(name), record)],
  child: (name: string, record: ChildRecord) => [set(keys.child(name), record)],
  endedSession: (id: string, record: EndedSessionRecord) => [set(keys.endedSession(id), record)],
  outbox: (number: number, record: OutboxRecord) => [set(keys.outbox(number), record)],
  webhook: (webhook: string, position: WebhookPosition) => [set(keys.webhook(webhook), position)],
  peer: (peer: string, record: PeerRecord) => [set(keys.peer(peer), record)],
  archiveSet: (peer: string, number: number, record: SetRecord) => [
    set(keys.archiveSet(peer, number), record),
  ],
  carried: (peer: string, digest: string, number: number) => [set(keys.carried(peer, digest), number)],
  tagVersion: (peer: string, repository: string, tag: string, record: VersionRecord) => [
    set(keys.tagVersion(peer, repository, tag), record),
  ],
  instance: (instance: string) => [set(keys.instance, instance)],
  archiveSettings: (record: ArchiveSettingsRecord) => [set(keys.archiveSettings, record)],
  starts: (record: StartsRecord) => [set(keys.starts, record)],
  parent: (parent: string) => [set(keys.parent, parent)],
  mark: (repository: string, record: MarkRecord) => [set(keys.mark(repository), record)],
  cursor: (record: CursorRecord) => [set(keys.cursor, record)],
  pause: (pause: LinkPause) => [set(keys.pause, pause)],
  declared: (accounts: DeclaredAccount[]) => [set(keys.declared, accounts)],
  history: (event: StoredEvent) => [set(keys.history, event)],
  age: (record: AgeRecord) => [set(keys.age, record)],
  ageMarks: (marks: AgeMarks) => [set(keys.ageMarks, marks)],
  backup: (record: BackupRecord) => [set(keys.backup, record)],
  restored: (record: RestoredRecord) => [set(keys.restored, record)],
  forwarding: (record: ForwardingRecord) => [set(keys.forwarding, record)],
  originsSince: (instant: number) => [set(keys.originsSince, instant)],
  term: (term: number) => [set(keys.term, term)],
  signingKey: (key: string) => [set(keys.signing, key)],
};

/** Changes that delete a record. */
export const drop = {
  /** All records of the content itself. */
  blob: (digest: string) => [
    del(keys.blob(digest)),
    del(keys.damaged(digest)),
    del(keys.transferred(digest)),
  ],
  transferred: (digest: string) => [del(keys.transferred(digest))],
  delta: (digest: string) => [del(keys.delta(digest))],
  refusedDelta: (target: string, pair: string) => [del(keys.refusedDelta(target, pair))],
  repository: (repository: string) => [del(keys.repository(repository))],
  /** Also deletes the upload session at the parent, which ends with the link. */
  link: (repository: string, digest: string) => [
    del(keys.link(repository, digest)),
    del(keys.session(repository, digest)),
  ],
  manifest: (repository: string, digest: string) => [del(keys.manifest(repository, digest))],
  referrer: (repository: string, subject: string, digest: string) => [
    del(keys.referrer(repository, subject, digest)),
  ],
  tag: (repository: string, tag: string) => [
    del(keys.tag(repository, tag)),
    del(keys.tagOrigin(repository, tag)),
  ],
  base: (repository: string, tag: string) => [
    del(keys.base(repository, tag)),
    del(keys.behind(repository, tag)),
    del(keys.sending(repository, tag)),
  ],
  sending: (repository: string, tag: string) => [del(keys.sending(repository, tag))],
  behind: (repository: string, tag: string) => [del(keys.behind(repository, tag))],
  uncompared: (repository: string) => [del(keys.uncompared(repository))],
  unsent: (repository: string, digest: string) => [del(keys.unsent(repository, digest))],
  withdrawn: (repository: string, digest: string) => [del(keys.withdrawn(repository, digest))],
  parked: (repository: string, reference: string) => [del(keys.parked(repository, reference))],
  session: (repository: string, digest: string) => [del(keys.session(repository, digest))],
  leftOut: (repository: string, digest: string, index: string) => [
    del(keys.leftOut(repository, digest, index)),
  ],
  leftOutReferrers: (repository: string, subject: string) => [
    del(keys.leftOutReferrers(repository, subject)),
  ],
  mark: (repository: string) => [del(keys.mark(repository))],
  ingest: (id: string) => [del(keys.ingest(id))],
  token: (name: string) => [del(keys.token(name))],
  child: (name: string) => [del(keys.child(name))],
  endedSession: (id: string) => [del(keys.endedSession(id))],
  outbox: (number: number) => [del(keys.outbox(number))],
  webhook: (webhook: string) => [del(keys.webhook(webhook))],
  scopeMap: (name: string) => [del(keys.scopeMap(name))],
  peer: (peer: string) => [del(keys.peer(peer))],
  archiveSet: (peer: string, number: number) => [del(keys.archiveSet(peer, number))],
  carried: (peer: string, digest: string) => [del(keys.carried(peer, digest))],
  tagVersion: (peer: string, repository: string, tag: string) => [
    del(keys.tagVersion(peer, repository, tag)),
  ],
  pause: () => [del(keys.pause)],
};
