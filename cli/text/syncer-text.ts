import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { SyncerStatus } from '#proto/status/status.ts';
import { crossingBytes } from '#proto/sync/crossing.ts';
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

function transfer(one: SyncerStatus['transfers'][number], now: number): string {
  const { direction, digest, size, done, waits, delta } = one;
  const bytes = crossingBytes(one);
  const share = bytes > 0 ? ` (${Math.floor((100 * (done ?? 0)) / bytes)} %)` : '';
  const instead = delta ? `, a delta for ${formatBytes(size)}` : '';
  const moved =
    done === undefined ? formatBytes(bytes) : `${formatBytes(done)} of ${formatBytes(bytes)}${share}`;
  const figures = `${moved}${instead}`;
  const next = waits === undefined ? '' : `, next attempt in ${formatDuration(waits - now)}`;
  return `${direction} ${shortDigest(digest)} ${figures}${next}`;
}
