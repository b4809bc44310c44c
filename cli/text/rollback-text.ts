import type { UpgradeCopy } from '#proto/volume/upgrade-copies.ts';
import { plural } from '../terminal/figures.ts';

/** What clients changed last of each tag, `repository:tag`. `complete`: no more tags than these were changed. */
export type ClientChanges = { pushed: string[]; deleted: string[]; complete: boolean };

/** Max tags that are named. */
const MAX_NAMED = 20;

const timeText = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ');

/** A copy, and what it is from: `20261130T143159Z-0.1.0`, made at its time before 0.2.0. */
export const copyRows = (copies: UpgradeCopy[]): string[][] =>
  copies.map(({ name, at, from, to }) => [
    name,
    `${timeText(at)} UTC`,
    from ? `${from.version} (metadata ${from.metadata})` : 'an earlier version',
    `${to.version} (metadata ${to.metadata})`,
  ]);

/**
 * What a rollback did, and what is lost with it.
 * @param changes of clients since the copy; undefined if the events could not be read
 */
export function rollbackText(
  { name, at, from }: UpgradeCopy,
  replaced: string,
  changes: ClientChanges | undefined,
): string {
  const version = from ? `Terrace ${from.version}` : 'an earlier Terrace';
  return [
    `The metadata of ${timeText(at)} UTC (${name}) are back: start ${version} or a later one.`,
    `Those that they replace are in ${replaced}.`,
    '',
    'Lost, as it is later than the copy:',
    ...lostLines(changes),
    '  accounts, passwords and layers below that were made or changed since',
    'What came from the parent, or had gone up to it, comes back with the next pass.',
    'Run "terrace scrub" after the start: content that was deleted since is named,',
    'and comes again from the parent.',
  ].join('\n');
}

function lostLines(changes: ClientChanges | undefined): string[] {
  if (!changes) return ['  what clients pushed and deleted since: its events can not be read'];
  const { pushed, deleted, complete } = changes;
  if (pushed.length + deleted.length === 0) return ['  no push and no deletion by a client'];
  const lines = (what: string, names: string[]) => [
    ...(names.length > 0 ? [`  ${what} ${plural(names.length, 'tag')}${complete ? '' : ' or more'}:`] : []),
    ...names.slice(0, MAX_NAMED).map((name) => `    ${name}`),
    ...(names.length > MAX_NAMED ? [`    and ${names.length - MAX_NAMED} more (--json names all)`] : []),
  ];
  return [...lines('pushed by clients:', pushed), ...lines('deleted by clients, and here again:', deleted)];
}
