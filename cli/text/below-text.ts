import { lastKnown } from '#proto/overview/last-known.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { LinkStatus } from '#proto/status/status.ts';
import { formatDuration, plural } from '../terminal/figures.ts';
import { table } from '../terminal/table.ts';
import { briefSync } from './sync-text.ts';

/** The layers below as of their last reports, as a table. */
export function belowText({ below = [] }: LayerStatus, now: number, width?: number): string {
  if (below.length === 0) return '';
  const rows = below.map(({ child, seen, path, name, link, sync, held, at, leftOut = 0 }) => [
    [child, ...path].join('/'),
    name,
    link?.state ?? 'no parent',
    stateText({ link, sync, at, seen }, now),
    lastSync(link, at),
    // `at` is by the clock of the reporting layer; `seen` is when the report arrived, by the clock of this one.
    `${formatDuration(now - seen)} ago`,
    held ? `${plural(held.tags, 'tag')}, ${plural(held.blobs, 'blob')}` : '',
    [link?.detail ?? '', leftOut > 0 ? `${plural(leftOut, 'layer')} below it not reported` : '']
      .filter(Boolean)
      .join('; '),
  ]);
  return table([['BELOW', 'NAME', 'LINK', 'STATE', 'LAST SYNC', 'REPORTED', 'HOLDS', ''], ...rows], width);
}

/** Of a layer that is cut off, the state as of when that was known. */
function stateText(layer: Parameters<typeof lastKnown>[0], now: number): string {
  if (!layer.sync) return '';
  const asOf = lastKnown(layer);
  const state = briefSync(layer.sync);
  return asOf === undefined ? state : `was ${state} ${formatDuration(now - asOf)} ago`;
}

/** With a live link, passes follow one another without a pause, and a change of `lastSync` alone is not reported. */
function lastSync(link: LinkStatus | undefined, at: number): string {
  if (link?.live && link.state === 'Online') return 'continuous';
  const last = link?.lastSync ?? link?.comparedAt;
  return last === undefined ? 'never' : `${formatDuration(at - last)} before`;
}
