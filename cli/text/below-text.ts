import type { LinkStatus } from '#proto/status/status.ts';
import type { LayerStatus } from '../connection/layer-status.ts';
import { duration, plural, table } from '../terminal/figures.ts';

/** The layers below, as they last told, in words. */
export function belowText({ below = [] }: LayerStatus, now: number): string {
  if (below.length === 0) return '';
  const rows = below.map(({ child, seen, path, name, link, held, at, leftOut = 0 }) => [
    [child, ...path].join('/'),
    name,
    link?.state ?? 'no parent',
    lastSync(link, at),
    // Of one further down, its own clock tells when it spoke; that it came, when it came here.
    `${duration(now - seen)} ago`,
    held ? `${plural(held.tags, 'tag')}, ${plural(held.blobs, 'blob')}` : '',
    [link?.detail ?? '', leftOut > 0 ? `${plural(leftOut, 'layer')} below it not told of` : '']
      .filter(Boolean)
      .join('; '),
  ]);
  return table([['BELOW', 'NAME', 'LINK', 'LAST SYNC', 'HEARD', 'HOLDS', ''], ...rows]);
}

/** Where passes follow one another the whole time, only their end is told. */
function lastSync(link: LinkStatus | undefined, at: number): string {
  if (link?.live && link.state === 'Online') return 'all the time';
  return link?.lastSync === undefined ? 'never' : `${duration(at - link.lastSync)} before`;
}
