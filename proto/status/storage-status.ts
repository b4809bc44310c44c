import { AccountName } from '../accounts/accounts.ts';
import { BackupStatus } from '../content/backups.ts';
import { MetadataDamage, ScrubProgress, Space } from '../content/maintenance.ts';
import { RestoredStatus } from '../content/restored.ts';
import { request } from '../contract/contract.ts';
import { Bytes, Count, Instant, Party, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { MAX_COMPLAINTS } from '../document/complaints.ts';
import { Digest, Repository } from '../oci/names.ts';
import { LinkPause } from '../sync/pause.ts';
import { Behind } from '../sync/sync-figure.ts';
import { ExchangeStatus } from './archive-exchange.ts';
import { AuditForwarding } from './audit-forwarding.ts';

/** Content and condition of storage. */
export const StorageStatus = Type.Object({
  repositories: Type.Integer(),
  tags: Type.Integer(),
  blobs: Type.Integer(),
  bytes: Bytes,
  tokens: Type.Integer(),
  /** Damage of the metadata that the last scrub found, one sentence each; absent if nothing is damaged. */
  metadata: Type.Optional(MetadataDamage),
  /** Accounts may have been lost: every client is refused until a token exists. */
  closed: Type.Optional(Type.Boolean()),
  /** Declared accounts that are not as declared, one sentence each; absent if all are. */
  accounts: Type.Optional(Type.Array(Reason, { maxItems: MAX_COMPLAINTS })),
  /** Without the system ones. */
  scopeMaps: Type.Integer(),
  /** Number of committed blobs whose bytes are damaged or missing. */
  damaged: Type.Integer(),
  space: Space,
  /** Entries of the audit that could not be written since the start. */
  audit: Type.Optional(
    Type.Object({ lost: Type.Integer(), since: Instant, reason: Type.String({ maxLength: 400 }) }),
  ),
  /** The link to the parent is paused. */
  paused: Type.Optional(LinkPause),
  /** If a syslog receiver is configured for the audit. */
  forwarding: Type.Optional(AuditForwarding),
  /** Deltas that are kept, and pairs that got none; absent if there are neither. */
  deltas: Type.Optional(Type.Object({ count: Count, bytes: Bytes, refused: Count })),
  /** Absent if there are none, and none is scheduled. */
  backup: Type.Optional(BackupStatus),
  /** A scrub is running. */
  scrub: Type.Optional(ScrubProgress),
  /** The layer was restored from a backup, in the last 30 days. */
  restored: Type.Optional(RestoredStatus),

  /** Layers with which archives are exchanged. */
  exchanges: Type.Optional(Type.Array(ExchangeStatus, { maxItems: 101 })),
  /**
   * Pending at the parent: manifests to send, manifests to withdraw, and refused changes. All 0 in a layer that pushes
   * nothing, as it is ReadOnly or has no parent.
   */
  outgoing: Type.Object({
    unsent: Type.Integer(),
    withdrawn: Type.Integer(),
    parked: Type.Integer(),
    /** Tags that differ from their base, in repositories of a selection; absent until they are counted. */
    tags: Type.Optional(Type.Integer()),
    /** Manifests that stay in this layer, as no selection covers their repository; not counted in `unsent`. */
    kept: Type.Optional(Type.Integer()),
    /** The first of these repositories. */
    keptIn: Type.Optional(Type.Array(Repository, { maxItems: 20 })),
  }),
  /** Changes of the parent that are not here yet. */
  behind: Type.Optional(Behind),
  /** Repositories that the last pass could not compare with the parent; absent if it could compare all. */
  uncompared: Type.Optional(Count),
  /** Number of tags that hold the loser of a conflict. */
  conflicts: Type.Optional(Count),
  ingests: Type.Array(
    Type.Object({
      id: Type.String({ maxLength: 160 }),
      purpose: Type.Union([Type.Literal('upload'), Type.Literal('transfer')]),
      /** Of a transfer. */
      digest: Type.Optional(Digest),
      size: Type.Optional(Bytes),
      /** Of an upload: who began it. */
      account: Type.Optional(AccountName),
      holder: Type.Optional(Party),
      touched: Instant,
    }),
    { maxItems: 1_000 },
  ),
});
export type StorageStatus = Static<typeof StorageStatus>;

export const storageStatus = request('storage.status.get', Type.Object({}), StorageStatus);
