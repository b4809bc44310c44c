import type { TransferItem, Transfers } from '#proto/api/transfers.ts';
import { crossingBytes } from '#proto/sync/crossing.ts';
import { formatBytes, formatDuration, plural } from '../../terminal/figures.ts';
import { table } from '../../terminal/table.ts';

/** What crosses the link, blob by blob. Pure. */

export type ShownTransfers = Pick<Transfers, 'items' | 'waiting' | 'rate'>;

const ARROWS = { down: '↓', up: '↑' };
const HEAD = ['', 'REPOSITORY', 'BLOB', 'DONE', 'RATE', 'LEFT', ''];

/** @param width to which the table is fitted */
export function transfersText(transfers: ShownTransfers, now: number, width: number): string {
  const { items, rate, waiting } = transfers;
  const moving = [
    ...(rate.down > 0 ? [`${formatBytes(rate.down)}/s down`] : []),
    ...(rate.up > 0 ? [`${formatBytes(rate.up)}/s up`] : []),
  ].join(', ');
  const queued = (waiting?.down ?? 0) + (waiting?.up ?? 0);
  const counts = [
    plural(items.length, 'transfer'),
    ...(queued > 0 ? [`about ${queued} waiting for a syncer`] : []),
    moving || 'nothing moves',
  ].join(', ');
  const head = `${counts[0]?.toUpperCase()}${counts.slice(1)}.`;
  if (items.length === 0) return queued > 0 ? head : 'Nothing crosses the link now.';
  return `${head}\n${table([HEAD, ...items.map((item) => rowOf(item, now))], width)}`;
}

function rowOf(transfer: TransferItem, now: number) {
  const { direction, repository, digest, size, done, rate, left, delta, ...item } = transfer;
  const bytes = crossingBytes(transfer);
  const share = bytes > 0 && done !== undefined ? ` (${Math.floor((100 * done) / bytes)} %)` : '';
  const remarks = [
    ...(delta ? [`${done === bytes ? 'rebuilding' : 'delta for'} ${formatBytes(size)}`] : []),
    ...(item.waits === undefined
      ? []
      : [`waits ${formatDuration(item.waits - now)}: ${item.code ?? 'a fault'}`]),
    ...(item.retries > 0 ? [plural(item.retries, 'retry', 'retries')] : []),
    item.syncer,
  ];
  return [
    ARROWS[direction],
    repository,
    digest.slice(digest.indexOf(':') + 1).slice(0, 12),
    done === undefined ? formatBytes(bytes) : `${formatBytes(done)} of ${formatBytes(bytes)}${share}`,
    rate === undefined ? '' : `${formatBytes(rate)}/s`,
    left === undefined ? '' : formatDuration(left * 1_000),
    remarks.join(', '),
  ];
}
