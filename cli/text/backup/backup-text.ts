import type { Backup } from '#proto/content/backups.ts';
import type { BackupTaskAnswer, ListedBackup } from '#proto/volume/backup-task.ts';
import { formatBytes, formatClock, formatDuration, plural } from '../../terminal/figures.ts';
import { table } from '../../terminal/table.ts';

/** What `terrace backup` and `terrace restore` print for people. Pure. */

type Answer<K extends BackupTaskAnswer['kind']> = Extract<BackupTaskAnswer, { kind: K }>;

/** Max digests that are listed; `--json` has more. */
const MAX_LISTED = 20;

export function backupText(backup: Backup): string {
  const { id, target, blobs, bytes, written, records, readBack, missing, deleted, ms } = backup;
  const how = readBack === 'disk' ? 'read back from the disk' : 'read back through the cache of the system';
  return [
    `Backup ${id} in ${target}: ${plural(blobs, 'blob')}, ${formatBytes(bytes)}, and ${plural(records, 'record')}, in ${formatDuration(ms)}.`,
    `Written: ${plural(written.blobs, 'new blob')}, ${formatBytes(written.bytes)} with the metadata; ${how}.`,
    ...(deleted > 0 ? [`Deleted: ${plural(deleted, 'older backup')}.`] : []),
    ...(missing
      ? [
          `NOT IN IT: ${plural(missing.blobs, 'blob')} that the layer has damaged or lost:`,
          ...listed(missing),
        ]
      : []),
    ...backup.warnings.map((warning) => `Warning: ${warning}.`),
  ].join('\n');
}

/** For a target that the command does not find, although storage has written it. */
export const notSeenText = (target: string): string =>
  `Warning: ${target} does not exist for this command, only for the storage of the layer. The /tmp of a service is its own, and is deleted when it stops: name a folder that both see.`;

export function listText({ backups, unreadable }: Answer<'listed'>, width?: number): string {
  const row = ({ id, at, layer, blobs, bytes, terrace, missing }: ListedBackup) => [
    id,
    formatClock(at),
    layer,
    String(blobs),
    formatBytes(bytes),
    terrace,
    missing > 0 ? `lacks ${plural(missing, 'blob')} that the layer had damaged` : '',
  ];
  const head = ['BACKUP', 'OF', 'LAYER', 'BLOBS', 'SIZE', 'TERRACE', ''];
  return [
    ...(backups.length > 0 ? [table([head, ...backups.map(row)], width)] : ['No complete backups.']),
    ...unreadable.map((why) => `Not readable: ${why}`),
  ].join('\n');
}

export function checkText(checked: Answer<'checked'>): string {
  const { id, at, records, blobs, bytes, damaged, readBack, ms } = checked;
  const how = readBack === 'disk' ? '' : ', through the cache of the system';
  const head = `Read back ${plural(blobs, 'blob')}, ${formatBytes(bytes)}, and ${plural(records, 'record')} of backup ${id} (${formatClock(at)}), in ${formatDuration(ms)}${how}: `;
  if (damaged.blobs === 0) return `${head}all intact.`;
  return [`${head}${plural(damaged.blobs, 'blob')} damaged or missing:`, ...listed(damaged)].join('\n');
}

export function pruneText({ backups, kept, blobs, bytes }: Answer<'pruned'>): string {
  return `Deleted ${plural(backups.length, 'backup')} and ${plural(blobs, 'blob')}, ${formatBytes(bytes)}; ${plural(kept, 'backup')} kept.`;
}

export function restoreText(restored: Answer<'restored'>, data: string, metadataOnly: boolean): string {
  const { id, at, layer, records, blobs, bytes, missing, notes, files, ms } = restored;
  return [
    `Restored backup ${id} (${formatClock(at)}) of layer ${layer} to ${data}: ${plural(records, 'record')}${metadataOnly ? '' : `, ${plural(blobs - missing.blobs, 'blob')} of ${formatBytes(bytes)}`}, in ${formatDuration(ms)}.`,
    ...(metadataOnly
      ? [`All ${plural(blobs, 'blob')} come again from the parent; what it lacks stays absent.`]
      : missing.blobs > 0
        ? [
            `MISSING: ${plural(missing.blobs, 'blob')} that the backup lacks or has damaged; the parent is asked for them:`,
            ...listed(missing),
          ]
        : []),
    ...notes.map((note) => `Note: ${note}.`),
    'Accounts and children are as in the backup: what was made, rotated or deleted since is not known.',
    'Start the layer with its own configuration and the files that this names; the first pass compares everything with the parent.',
    ...(files.length > 0
      ? [`The configuration at the backup named: ${files.slice(0, MAX_LISTED).join(', ')}.`]
      : []),
  ].join('\n');
}

const listed = ({ blobs, first }: { blobs: number; first: readonly string[] }): string[] => [
  ...first.slice(0, MAX_LISTED).map((digest) => `  ${digest}`),
  ...(blobs > Math.min(first.length, MAX_LISTED)
    ? [`  and ${blobs - Math.min(first.length, MAX_LISTED)} more`]
    : []),
];
