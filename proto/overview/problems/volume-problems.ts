import { formatBytes, plural } from '../../contract/quantity-text.ts';
import { problem, type Rule } from './problem.ts';

/** The data volume: its space, damage, the audit log, backups and the restore of one. Pure. */

export const space: Rule = ({ storage }) => {
  if (!storage?.space.low) return [];
  const { free, reserve, inodes } = storage.space;
  const figures =
    inodes && inodes.free / inodes.reserve < free / reserve
      ? `${plural(inodes.free, 'inode is', 'inodes are')} free, and the reserve is ${inodes.reserve}`
      : `${formatBytes(free)} are free, and the reserve is ${formatBytes(reserve)}`;
  const what = `new content is rejected: ${figures}`;
  return [problem('space-low', 'error', what, 'free space on the data volume: docs/operating/full-disk.md')];
};

export const damage: Rule = ({ storage }) => [
  ...(storage?.damaged
    ? [
        problem(
          'content-damaged',
          'error',
          `${plural(storage.damaged, 'blob of the data volume is', 'blobs of the data volume are')} damaged`,
          'they come again from the parent or a client; check the disk',
        ),
      ]
    : []),
  ...(storage?.metadata?.length
    ? [
        problem(
          'metadata-damaged',
          'error',
          `the metadata are damaged: ${storage.metadata[0]}${storage.metadata.length > 1 ? ` and ${storage.metadata.length - 1} more` : ''}`,
          'plan a stop of the layer, then run "terrace repair"',
        ),
      ]
    : []),
];

export const audit: Rule = ({ storage }) =>
  storage?.audit
    ? [
        problem(
          'audit-lost',
          'error',
          `${plural(storage.audit.lost, 'audit entry', 'audit entries')} could not be written: ${storage.audit.reason}`,
          'check space and permissions of data/log',
          { since: storage.audit.since },
        ),
      ]
    : [];

export const backup: Rule = ({ storage }) => {
  const { failed, last, schedule } = storage?.backup ?? {};
  if (failed) {
    const { target, reason, count, at: since } = failed;
    const what = `${count === 1 ? 'the last backup' : `the last ${count} backups`} failed: ${reason}`;
    const remedy = schedule
      ? 'correct the cause: it is tried again by itself'
      : `correct the cause, then run "terrace backup ${target}"`;
    return [problem('backup-failed', 'warning', what, remedy, { since, subject: target })];
  }
  if (!schedule?.late) return [];
  return [
    problem(
      'backup-late',
      'warning',
      'the last good backup is too old for its schedule',
      'see whether one runs ("terrace status"), and make one with "terrace backup"',
      { since: last?.at, subject: schedule.target },
    ),
  ];
};

export const restored: Rule = ({ storage }) => {
  const { report, restored: since } = storage?.restored ?? {};
  if (!report || report.lost === 0) return [];
  const what = `${plural(report.lost, 'tag is', 'tags are')} lost, which changed here after the backup that the layer was restored from: ${report.lostFirst.slice(0, 5).join(', ')}`;
  return [problem('restore-lost', 'warning', what, 'push them again; status names more', { since })];
};
