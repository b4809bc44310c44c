import type { StorageStatus } from '#proto/status/storage-status.ts';
import { counter, type Family, flag, gauge } from './family.ts';
import type { Figures } from './figures.ts';

/** What the layer holds, its disk, its accounts and its audit log. Absent while storage does not answer. */

const of =
  (read: (storage: StorageStatus, figures: Figures) => number | undefined) =>
  (figures: Figures): number | undefined =>
    figures.status.storage && read(figures.status.storage, figures);

const inSeconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1_000);

export const storageFamilies: Family[] = [
  gauge(
    'storage_repositories',
    'Repositories of the layer.',
    of(({ repositories }) => repositories),
  ),
  gauge(
    'storage_tags',
    'Tags of the layer.',
    of(({ tags }) => tags),
  ),
  gauge(
    'storage_blobs',
    'Blobs of the layer, manifests included.',
    of(({ blobs }) => blobs),
  ),
  gauge(
    'storage_bytes',
    'Bytes of these blobs.',
    of(({ bytes }) => bytes),
  ),
  gauge(
    'storage_free_bytes',
    'Free bytes of the data volume.',
    of(({ space }) => space.free),
  ),
  gauge(
    'storage_reserve_bytes',
    'Free bytes below which no new content is accepted.',
    of(({ space }) => space.reserve),
  ),
  gauge(
    'storage_free_inodes',
    'Free files of the data volume; absent if the file system does not count them.',
    of(({ space }) => space.inodes?.free),
  ),
  gauge(
    'storage_reserve_inodes',
    'Free files below which no new content is accepted.',
    of(({ space }) => space.inodes?.reserve),
  ),
  gauge(
    'storage_low',
    '1 while less is free than the reserve: pushes are refused, and transfers wait.',
    of(({ space }) => flag(space.low)),
  ),
  gauge(
    'storage_damaged_blobs',
    'Blobs whose bytes are damaged or missing, and were not supplied again yet.',
    of(({ damaged }) => damaged),
  ),
  gauge(
    'storage_metadata_damaged',
    '1 if the last scrub found damage in the metadata.',
    of(({ metadata }) => flag(metadata !== undefined && metadata.length > 0)),
  ),
  gauge(
    'scrub_running',
    '1 while a scrub reads all content.',
    of(({ scrub }) => flag(scrub !== undefined)),
  ),
  gauge(
    'scrub_read_bytes',
    'Bytes that the running scrub has read; absent while none runs.',
    of(({ scrub }) => scrub?.bytes),
  ),
  gauge(
    'scrub_total_bytes',
    'Bytes that it reads in all; absent while none runs.',
    of(({ scrub }) => scrub?.total),
  ),
  gauge(
    'scrub_damaged_blobs',
    'Damaged blobs that it has found; absent while none runs.',
    of(({ scrub }) => scrub?.damaged),
  ),
  gauge(
    'storage_ingests',
    'Content being written: uploads of clients, and transfers from the parent. At most 1000.',
    ({ status: { storage } }) =>
      storage &&
      ['upload', 'transfer'].map((purpose) => ({
        labels: { purpose },
        value: storage.ingests.filter((one) => one.purpose === purpose).length,
      })),
    'purpose',
  ),
  gauge(
    'outgoing_changes',
    'Changes made here that are not at the parent. `unsent`: manifests to push. `withdrawn`: deletions to push. `parked`: refused by the parent, and retried later. `kept`: in repositories that no selection covers.',
    ({ status: { storage } }) =>
      storage &&
      (['unsent', 'withdrawn', 'parked', 'kept'] as const).map((state) => ({
        labels: { state },
        value: storage.outgoing[state] ?? 0,
      })),
    'state',
  ),
  gauge(
    'tokens',
    'Tokens with which clients log in.',
    of(({ tokens }) => tokens),
  ),
  gauge(
    'accounts_open',
    '1 while the layer has no token and lets everyone who reaches it do everything.',
    of(({ tokens }, { status }) =>
      flag(
        tokens === 0 && status.services.some(({ service, open }) => service === 'gateway' && open === true),
      ),
    ),
  ),
  gauge(
    'accounts_lost',
    '1 if accounts may have been lost: every client is refused until a token exists.',
    of(({ closed }) => flag(closed === true)),
  ),
  gauge(
    'accounts_not_as_declared',
    'Declared accounts that are not in force as the configuration document declares them.',
    of(({ accounts = [] }) => accounts.length),
  ),
  counter(
    'audit_lost',
    'Entries of the audit log that could not be written, since the start of storage.',
    of(({ audit }) => audit?.lost ?? 0),
  ),
  gauge(
    'audit_receiver_up',
    '1 while the layer is connected to the syslog receiver of its audit log, else 0; absent without one.',
    of(({ forwarding }) => forwarding && flag(forwarding.state === 'Connected')),
  ),
  gauge(
    'audit_receiver_backlog_entries',
    'Entries of the audit log that its syslog receiver does not have yet; absent without one.',
    of(({ forwarding }) => forwarding?.waiting),
  ),
  gauge(
    'audit_receiver_lost_entries',
    'Entries that the syslog receiver will never get, as the log was full before; shown for a day.',
    of(({ forwarding }) => forwarding && (forwarding.lost?.count ?? 0)),
  ),
  gauge(
    'backup_last_success_timestamp_seconds',
    'The instant that the last good backup shows; absent if there is none.',
    of(({ backup }) => inSeconds(backup?.last?.at)),
  ),
  gauge(
    'backup_late_timestamp_seconds',
    'From when on the last good backup is too old, by its schedule; absent without a schedule or a backup.',
    of(({ backup }) => inSeconds(backup?.schedule?.lateAfter)),
  ),
  gauge(
    'backup_last_duration_seconds',
    'Duration of the last good backup.',
    of(({ backup }) => inSeconds(backup?.last?.ms)),
  ),
  gauge(
    'backup_last_bytes',
    'Bytes of the content in the last good backup.',
    of(({ backup }) => backup?.last?.bytes),
  ),
  gauge(
    'backup_last_written_bytes',
    'Bytes that the last good backup wrote.',
    of(({ backup }) => backup?.last?.written),
  ),
  counter(
    'backup_failures',
    'Backups that failed, since the start of storage.',
    of(({ backup }) => backup?.failures ?? 0),
  ),
  gauge(
    'backup_failed',
    '1 if the last backup failed.',
    of(({ backup }) => flag(backup?.failed !== undefined)),
  ),
  gauge(
    'backup_running',
    '1 while a backup is made.',
    of(({ backup }) => flag(backup?.running !== undefined)),
  ),
];
