import type { Static } from '@sinclair/typebox';
import type { exportArchive, listArchives } from '#proto/archive/archives.ts';
import { formatBytes, formatClock, plural } from '../../terminal/figures.ts';
import { table } from '../../terminal/table.ts';

/** What an export prints. Pure. */

export function describeExport(
  { name, set, last }: Static<typeof exportArchive.reply>,
  folder: string,
): string {
  if (!set || name === undefined) {
    return `Nothing has changed since set ${last}: no set was written (--always writes one).`;
  }
  const changes = [
    set.changed > 0 && `${plural(set.changed, 'tag')} new or moved`,
    set.deleted > 0 && `${plural(set.deleted, 'tag')} deleted`,
  ].filter(Boolean);
  const parity = set.parity > 0 ? ` and ${plural(set.parity, 'parity file')}` : '';
  return [
    `Set ${set.number} for ${set.target} is in ${folder}: ${plural(set.parts, 'part')}${parity}, ${formatBytes(set.bytes)}.`,
    `  ${changes.length > 0 ? changes.join(', ') : 'no tag changed'}; ${plural(set.tags, 'tag')} in all; ${plural(set.content, 'blob or manifest', 'blobs and manifests')} in the parts`,
    `  Carry all files that begin with ${name}- and run "terrace import" on the other side.`,
  ].join('\n');
}

export function describeBook({ peers, sets }: Static<typeof listArchives.reply>, width: number): string {
  if (peers.length === 0) return 'Nothing was exported or imported yet.';
  const number = (set: number | undefined) => (set === undefined ? '-' : String(set));
  const sides = table(
    [
      ['LAYER', 'EXPORTED', 'KNOWN TO HAVE', 'IMPORTED', 'MISSING HERE'],
      ...peers.map(({ name, exported, acknowledged, imported, missing }) => [
        name,
        number(exported),
        number(acknowledged),
        number(imported),
        missing.length === 0 ? '-' : missing.join(', '),
      ]),
    ],
    width,
  );
  if (sets.length === 0) return sides;
  const rows = sets.map(({ number: set, target, created, parts, bytes, changed, deleted, forgotten }) => [
    String(set),
    target,
    formatClock(created),
    String(parts),
    formatBytes(bytes),
    String(changed),
    String(deleted),
    forgotten ? 'forgotten' : '',
  ]);
  const head = ['SET', 'FOR', 'EXPORTED', 'PARTS', 'SIZE', 'CHANGED', 'DELETED', ''];
  return `${sides}\n\n${table([head, ...rows], width)}`;
}
