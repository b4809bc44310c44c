import { changesToPush } from '#proto/sync/changes-to-push.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';
import { formatBytes, formatClock, formatDuration, plural } from '../terminal/figures.ts';

/** How a layer stands against its parent, in one line for people. */
export function syncText(figure: SyncFigure, now: number): string {
  const { asOf, uncompared = 0, conflicts, leftOut } = figure;
  const parts = [
    stateOf(figure, now),
    ...(uncompared > 0 ? [`${plural(uncompared, 'repository', 'repositories')} not compared`] : []),
    ...(conflicts > 0 ? [plural(conflicts, 'conflict')] : []),
    ...(leftOut > 0 ? [`${plural(leftOut, 'image')} not complete`] : []),
  ];
  const known = asOf === undefined ? '' : ` as of ${formatDuration(now - asOf)} ago`;
  return figure.state === 'in-sync'
    ? [`in sync with the parent${known}`, ...parts.slice(1)].join('; ')
    : `${parts.join('; ')}${known && ` (${known.trim()})`}`;
}

function stateOf({ state, behind, ahead, until }: SyncFigure, now: number): string {
  const { tags, bytes, unsized, failed, since } = behind;
  const missing = [
    plural(tags, 'tag'),
    ...(bytes > 0 || unsized > 0 ? [`${formatBytes(bytes)}${unsized > 0 ? ' and more' : ''}`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(since === undefined ? [] : [`oldest since ${formatDuration(now - since)}`]),
  ].join(', ');
  const done = until === undefined ? '' : `; done at about ${formatClock(until, now)}`;
  const unsent = [
    ...(ahead.tags > 0 && ahead.manifests + ahead.deletions === 0 ? [plural(ahead.tags, 'tag')] : []),
    ...(ahead.manifests > 0 ? [plural(ahead.manifests, 'manifest')] : []),
    ...(ahead.deletions > 0 ? [plural(ahead.deletions, 'deletion')] : []),
    ...(ahead.parked > 0 ? [`${plural(ahead.parked, 'change')} refused by the parent`] : []),
  ].join(', ');
  switch (state) {
    case 'in-sync':
      return 'in sync with the parent';
    case 'behind':
      return `behind by ${missing}${done}`;
    case 'ahead':
      return `ahead by ${unsent}`;
    case 'diverged':
      return `behind by ${missing}${done}; ahead by ${unsent}`;
    default:
      return 'not compared with the parent completely yet';
  }
}

/** The same in a few words, for a table. */
export function briefSync({ state, behind, ahead }: SyncFigure): string {
  const missing = `behind by ${plural(behind.tags, 'tag')}`;
  const unsent = `ahead by ${plural(Math.max(changesToPush(ahead), ahead.parked), 'change')}`;
  if (state === 'behind') return missing;
  if (state === 'ahead') return unsent;
  return state === 'diverged' ? `${missing}, ${unsent}` : state.replace('-', ' ');
}
