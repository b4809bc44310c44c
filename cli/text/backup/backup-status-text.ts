import type { StorageStatus } from '#proto/status/storage-status.ts';
import { formatBytes, formatClock, formatDuration, plural } from '../../terminal/figures.ts';

export type BackupProgress = { blobs: number; bytes: number; ofBlobs: number; ofBytes: number };

/** `copied 3 of 12 blobs, 1.5 MB of 6.0 MB` */
export const progressText = ({ blobs, bytes, ofBlobs, ofBytes }: BackupProgress, what: string): string =>
  `${what} ${blobs} of ${ofBlobs} blobs, ${formatBytes(bytes)} of ${formatBytes(ofBytes)}`;

/** The backups of the layer, if there are any or they are scheduled. Pure. */
export function backupStatusText({ backup }: StorageStatus, now: number): string[] {
  if (!backup) return [];
  const { last, running, schedule } = backup;
  const lacks = last?.missing ? `; LACKS ${plural(last.missing, 'damaged blob')}` : '';
  const next = schedule?.next === undefined ? '' : `; next ${formatClock(schedule.next, now)}`;
  return [
    last
      ? `Backup of ${formatClock(last.at, now)}, ${formatDuration(now - last.at)} ago: ${plural(last.blobs, 'blob')}, ${formatBytes(last.bytes)}, ${formatBytes(last.written)} written, to ${last.target}${lacks}${next}`
      : `Backup: none yet${schedule ? `, to ${schedule.target}` : ''}${next}`,
    ...(running
      ? [`  running for ${formatDuration(now - running.since)}: ${progressText(running, 'copied')}`]
      : []),
  ];
}
