import type { PasswordName } from '#proto/accounts/accounts.ts';
import type { BookedSet } from '#proto/archive/archives.ts';
import type { ImageContext } from '#proto/content/arriving.ts';
import type { BackupStatus } from '#proto/content/backups.ts';
import type { DeltaRecord, RefusedDelta } from '#proto/content/deltas.ts';
import type { LeftOutRecord as LeftOutReferrersRecord } from '#proto/content/left-out-referrers.ts';
import type { RestoredStatus } from '#proto/content/restored.ts';
import type { Traceparent } from '#proto/contract/traceparent.ts';
import type { Exchange } from '#proto/document/exchanges.ts';
import type { ConflictPolicy } from '#proto/document/selection.ts';
import type { BehindTag, Uncompared } from '#proto/sync/behind.ts';
import type { Mark } from '#proto/sync/marks.ts';
import type { Parked } from '#proto/sync/outgoing.ts';

/** The records of the metadata. Instants are ms since 1970, sizes are bytes. */

export type BlobRecord = { size: number };

/** A blob that arrived over the link. `repository`: the one that it was last transferred for. */
export type TransferredRecord = { since: number; repository?: string };
/**
 * A delta, by the digest of its content. `made`, `used`: by the age clock; `used` may be an hour behind. `repository`:
 * the one that it was transferred or made for.
 */
export type KeptDelta = DeltaRecord & { size: number; made: number; used: number; repository?: string };

/** Target and a hash of the pair are in the key. */
export type RefusedRecord = Omit<RefusedDelta, 'to'> & { since: number };
export type DamagedRecord = { size: number; since: number };

export type ManifestRecord = { mediaType: string; size: number; subject?: string };

/**
 * Where the target of a tag came from, written in the batch that moves the tag. `digest`: the target, as a version of
 * Terrace without these records may have moved the tag since. `name`: address of the parent, or the account.
 */
export type TagOriginRecord = {
  version: 1;
  digest: string;
  since: number;
  from: 'parent' | 'client' | 'child';
  name?: string;
};

/**
 * The target that a pass gives the tag at the parent (`null`: it deletes the tag), from before the request is sent
 * until the base is recorded. If the answer is lost, it shows that a change of the tag there is this layer's own.
 */
export type SendingRecord = { digest: string | null };

/** A manifest that a client put and that, as far as the layer knows, the parent does not have. */
export type UnsentRecord = {
  since: number;
  /** It was withdrawn before, or a pass began to send it: the parent may have it. */
  again?: true;
  /** It is older than these records or than this parent, so its origin is unknown: `unknownOrigin` in messages. */
  found?: true;
  /** Where traces are on: the request that put it. */
  traceparent?: Traceparent;
};

/** A manifest that parent and layer both had, and that a client deleted. */
export type WithdrawnRecord = { since: number };

/** `of` identifies the parent and everything that decides what is pulled from it. */
export type CursorRecord = { of: string; cursor: string | null };

/** `of` as in `CursorRecord`. */
export type MarkRecord = Mark & { of: string };

/** Repository and reference are in the key. */
export type ParkedRecord = Omit<Parked, 'repository' | 'reference'>;

/** Repository and tag are in the key. `since`: when the target became known. */
export type BehindRecord = Omit<BehindTag, 'tag'> & { since: number };

/** Repository is in the key. */
export type UncomparedRecord = Uncompared;

/** A child that an index leaves out: its platform, and whether the parent does not provide it. */
export type LeftOutRecord = string | { platform: string; unavailable: true };

export type { LeftOutReferrersRecord };

/** The descriptor of a manifest, as it appears among the referrers of its subject. */
export type ReferrerRecord = {
  mediaType: string;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
};

export type IngestRecord = {
  purpose: 'upload' | 'transfer';
  /** Repository of an upload; for a transfer, the one of the latest request. */
  repository?: string;
  /** Account that started an upload; absent for a client without one. */
  account?: string;
  /** For transfers only. */
  part?: ImageContext;
  /** The content is this delta, and not a blob. */
  delta?: DeltaRecord;
  digest?: string;
  size?: number;
  /** Nobody continues this upload after its first holder. */
  alone?: true;
  /** Last activity of a holder. */
  touched: number;
  /** All holders so far, at most two: only "one" and "several" matter. */
  writers: string[];
  /** A claim was not released: an old writer may still have the file open. */
  unclean: boolean;
  claim?: { token: string; by: string; until: number };
  /** The verified file is being moved to the blob of this digest: if it is not in the ingest, it is there. */
  placing?: string;
};

/** The age clock when it was last stored, and the wall clock then, in ms. */
export type AgeRecord = { age: number; wall: number };

/** `made`: creation time of the stream of events. `marks`: age, and last sequence of the stream then; oldest first. */
export type AgeMarks = { made: string; marks: [at: number, last: number][] };

export type TokenRecord = {
  enabled: boolean;
  scopeMap: string;
  created: number;
  passwords: {
    name: PasswordName;
    hash: string;
    created: number;
    expires?: number;
    /** File that held the password of this hash. */
    secretFile?: string;
  }[];
  /** Managed by the configuration document; deleted when it is no longer declared there. */
  declared?: true;
};

/** `until`: when the session would be over at the latest. */
export type EndedSessionRecord = { until: number };

/** The activated instance of a child. `seen` is not synced. */
export type ChildRecord = { instance: string; since: number; seen: number; start?: ActiveStart };

/**
 * `place`: of the data volume at the last start (proto/volume/folder-identity.ts). `ids`: the starts, latest first.
 * `ended`: how many of the starts after the first id had certainly ended.
 */
export type StartsRecord = { place: string; ids: string[]; ended: number };

/**
 * How far the audit log is delivered to the syslog receiver. `position`: see ../syslog/log-position.ts. `loss`: entries
 * that were deleted before, and how many of them the receiver was not informed of.
 */
export type ForwardingRecord = {
  position?: { file: string; offset: number; tail: string; number: number };
  loss?: { count: number; since: number; last: number; unreported: number };
};

/** An event in the outbox. `at`: shortly before it happened. */
export type OutboxRecord = { type: string; data: unknown; at: number };

export type ScopeMapRecord = {
  description?: string;
  actions: string[];
  /** Created with the token of the same name, and deleted with it. */
  own?: true;
  /** That token is declared in the configuration document. */
  declared?: true;
};

/** The active start of a child. */
export type ActiveStart = {
  id: string;
  /** When it was started, by the child's clock. */
  at: number;
  /** Origin of its last request. */
  address?: string;
  /** Starts that were active before. */
  replaced?: string[];
  /** Copies: starts that asked to be activated while this one, or one before it, was alive. */
  copies?: string[];
};

/** The last good backup, and the failures in a row since. */
export type BackupRecord = Pick<BackupStatus, 'last' | 'failed'>;

export type RestoredRecord = RestoredStatus;

/** What counts of the sets of another layer, by the configuration. `verifyKeyFiles`: paths. */
export type RecordedExchange = Pick<Exchange, 'peer' | 'side' | 'mode' | 'repositories' | 'verifyKeyFiles'>;

/** The name of this layer, paths of the public keys that it trusts, its exchanges, and what it selects. */
export type ArchiveSettingsRecord = {
  layer: string;
  keyFiles: string[];
  exchanges?: RecordedExchange[];
  selections?: { name: string; conflict: ConflictPolicy }[];
};

/** Another side, to which archives go, or from which they come. */
export type PeerRecord = {
  version: 1;
  /** Of this layer's numbers. Another data volume, or a repaired one, begins a new epoch. */
  epoch: string;
  since: number;
  /** What the epoch is bound to. `place`: see proto/volume/folder-identity.ts; `restored`: when, from a backup. */
  bound: { instance: string; place: string; repaired?: string; restored?: number };
  /** Number of the last set, 0 before the first one, and digest of its list. */
  exported: number;
  list?: string;
  /** The set that is written: its list may be in place. */
  pending?: { number: number; list: string; folder: string };
  /** Last set that the other side has imported, as far as it has reported. */
  acknowledged: number;
  /** The last imported set of the other side. */
  imported?: ImportedRecord;
  /** Sets of the other side, and content, that this layer lacks. */
  missing: number[];
  lacking: string[];
  /** The last set of the other side whose requests were taken, whether or not it could be imported. */
  requests?: { epoch: string; number: number };
};

/** `epochs`: earlier ones, latest last. */
export type ImportedRecord = {
  /** Side that its sets are for. */
  target: string;
  instance: string;
  epoch: string;
  since: number;
  number: number;
  list: string;
  epochs: string[];
  /** When, bytes of its content, and tags that it moved or deleted; absent in records of earlier versions. */
  at?: number;
  bytes?: number;
  changed?: number;
};

/** Peer and number are in the key. `list`: digest of its list. */
export type SetRecord = Omit<BookedSet, 'target' | 'number'> & { epoch: string; list: string };

/** A tag as a peer last knew it: digest (null: deleted), and its version. */
export type VersionRecord = [digest: string | null, mine: number, theirs: number];
