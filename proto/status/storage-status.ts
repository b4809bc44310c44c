import { type Static, Type } from '@sinclair/typebox';
import { AccountName } from '../accounts/accounts.ts';
import { MetadataDamage, Space } from '../content/maintenance.ts';
import { request } from '../contract/contract.ts';
import { MAX_COMPLAINTS } from '../document/complaints.ts';
import { Bytes, Digest, Instant, Party, Reason } from '../oci/names.ts';

/** What storage holds. */
export const StorageStatus = Type.Object({
  repositories: Type.Integer(),
  tags: Type.Integer(),
  blobs: Type.Integer(),
  bytes: Bytes,
  tokens: Type.Integer(),
  /** What of the metadata is damaged, a sentence each, as the last scrub found; absent where nothing is. */
  metadata: Type.Optional(MetadataDamage),
  /** Its accounts may have been lost: nobody is let in before there is a token. */
  closed: Type.Optional(Type.Boolean()),
  /** What of the declared accounts is not as declared, one sentence each; absent where all is. */
  accounts: Type.Optional(Type.Array(Reason, { maxItems: MAX_COMPLAINTS })),
  /** Those of every layer are not counted. */
  scopeMaps: Type.Integer(),
  /** Committed content whose bytes are damaged or gone. */
  damaged: Type.Integer(),
  space: Space,
  /** Entries of the audit that could not be written since the start. */
  audit: Type.Optional(
    Type.Object({ lost: Type.Integer(), since: Instant, reason: Type.String({ maxLength: 400 }) }),
  ),
  /** What the parent is still to be told: manifests to send, manifests to withdraw, and refused changes. */
  outgoing: Type.Object({
    unsent: Type.Integer(),
    withdrawn: Type.Integer(),
    parked: Type.Integer(),
    /** Manifests that stay in this layer, as no selection covers their repository: they are not among those to send. */
    kept: Type.Optional(Type.Integer()),
  }),
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
