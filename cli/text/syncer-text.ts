import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { SyncerStatus } from '#proto/status/status.ts';
import { formatBytes, formatDuration, plural, shortDigest } from '../terminal/figures.ts';

/** The syncers of a layer with their transfers, for people. */

/** Max transfers listed per syncer. */
const MAX_TRANSFERS = 6;

export function syncerText({ syncers }: LayerStatus, now: number): string {
  if (syncers.length === 0) return '';
  return ['Syncers:', ...syncers.flatMap((syncer) => lines(syncer, now))].join('\n');
}

/** A line for the syncer, and one for each of its first transfers. */
function lines({ instance, host, coordinates, count, transfers }: SyncerStatus, now: number): string[] {
  const who = `  ${instance} on ${host}${coordinates ? ', coordinator' : ''}`;
  if (count === 0) return [`${who}: idle`];
  const shown = transfers.slice(0, MAX_TRANSFERS).map((one) => transfer(one, now));
  const hidden = count - shown.length;
  return [
    `${who}: ${plural(count, 'transfer')}`,
    ...shown.map((one) => `    ${one}`),
    ...(hidden > 0 ? [`    … and ${hidden} more`] : []),
  ];
}

function transfer(
  { direction, digest, size, done, waits }: SyncerStatus['transfers'][number],
  now: number,
): string {
  const share = size > 0 ? ` (${Math.floor((100 * (done ?? 0)) / size)} %)` : '';
  const figures =
    done === undefined ? formatBytes(size) : `${formatBytes(done)} of ${formatBytes(size)}${share}`;
  const next = waits === undefined ? '' : `, next attempt in ${formatDuration(waits - now)}`;
  return `${direction} ${shortDigest(digest)} ${figures}${next}`;
}
