import { AccountName } from '../accounts/accounts.ts';
import { described, event, request } from '../contract/contract.ts';
import { Bytes, Count, FilePath, Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest } from '../oci/names.ts';

/** Backups of a layer: what storage is asked for, and what it reports of them. */

export const BackupId = Type.String({
  pattern: '^\\d{8}T\\d{6}Z(-\\d{1,6})?$',
  maxLength: 32,
  description: 'Name of the backup: its time, UTC.',
});

/** Max digests of missing content that are named. */
export const MAX_MISSING_NAMED = 1_000;

const account = Type.Optional(described(AccountName, 'Who requested it; absent for a scheduled one.'));
const Target = described(FilePath, 'Folder or file that it was written to.');

/** A complete backup. */
export const Backup = Type.Object({
  id: BackupId,
  target: Target,
  at: described(Instant, 'The instant that it shows, in ms since 1970.'),
  ms: described(Count, 'Duration, in ms.'),
  records: described(Count, 'Records of the metadata.'),
  blobs: described(Count, 'Blobs that belong to it.'),
  bytes: described(Bytes, 'Their bytes.'),
  written: Type.Object(
    { blobs: Count, bytes: Bytes },
    { description: 'Blobs that the target did not have yet, and all bytes written, with the metadata.' },
  ),
  missing: Type.Optional(
    Type.Object(
      { blobs: Count, first: Type.Array(Digest, { maxItems: MAX_MISSING_NAMED }) },
      {
        description:
          'Damaged or missing content of this layer, which the backup lacks; absent if it is complete.',
      },
    ),
  ),
  readBack: Type.Union([Type.Literal('disk'), Type.Literal('cache')], {
    description:
      'How what was written was verified: read from the disk, or through the cache of the system where the file system permits nothing else.',
  }),
  deleted: described(Count, 'Older backups that `keep` deleted.'),
  warnings: Type.Array(Reason, {
    maxItems: 10,
    description: 'What an operator should know, one sentence each.',
  }),
});
export type Backup = Static<typeof Backup>;

/** Max backups that a target keeps. */
export const MAX_KEEP = 10_000;
export const Keep = Type.Integer({ minimum: 1, maximum: MAX_KEEP });

/**
 * Makes a backup while the layer runs. Answered at its end, with signs of life until then. `rate`: max bytes/s that are
 * read; default: no limit. `keep`: how many backups the target keeps.
 *
 * Faults: `busy` if one is running, here or in the target; `no-space`: the target is full; `conflict`: the target has
 * backups of another layer; `denied`: it can't be written; `unavailable`: it can't be reached, or the backup was
 * cancelled.
 */
export const runBackup = request(
  'storage.backup.run',
  Type.Object({
    target: FilePath,
    rate: Type.Optional(Type.Integer({ minimum: 1 })),
    keep: Type.Optional(Keep),
  }),
  Backup,
);

/** Cancels a running backup, if there is one. */
export const cancelBackup = request('storage.backup.cancel', Type.Object({}), Type.Object({}));

/** What is known of the backups of this layer. */
export const BackupStatus = Type.Object({
  last: Type.Optional(
    Type.Object(
      {
        id: BackupId,
        target: Target,
        at: described(Instant, 'The instant that it shows, in ms since 1970.'),
        ms: Count,
        blobs: Count,
        bytes: Bytes,
        written: Bytes,
        missing: Type.Optional(Count),
      },
      { description: 'The last good one.' },
    ),
  ),
  failed: Type.Optional(
    Type.Object(
      { at: Instant, target: Target, reason: Reason, count: described(Count, 'Failures in a row.') },
      { description: 'The last one, if it failed.' },
    ),
  ),
  running: Type.Optional(
    Type.Object({
      since: Instant,
      target: Target,
      blobs: described(Count, 'Blobs that are done.'),
      bytes: described(Bytes, 'Their bytes.'),
      ofBlobs: Count,
      ofBytes: Bytes,
    }),
  ),
  /** Backups that failed since the start of storage. */
  failures: Count,
  schedule: Type.Optional(
    Type.Object(
      {
        target: Target,
        next: Type.Optional(described(Instant, 'When the next one is due.')),
        lateAfter: Type.Optional(described(Instant, 'From when on the last good one is too old.')),
        late: Type.Optional(Type.Literal(true)),
      },
      { description: 'By the configuration.' },
    ),
  ),
});
export type BackupStatus = Static<typeof BackupStatus>;

/** A backup is complete: written and read back. */
export const backupCompleted = event('backup.completed', Type.Object({ ...Backup.properties, account }));

/** A backup failed; earlier ones are not affected. */
export const backupFailed = event('backup.failed', Type.Object({ target: Target, reason: Reason, account }));
