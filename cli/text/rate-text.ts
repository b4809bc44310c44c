import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { SyncerStatus } from '#proto/status/status.ts';
import { formatBitRate, formatBytes } from '../terminal/figures.ts';

/** The bandwidth limit in force and what crosses the link now, in one line for people; empty if no syncer says. */
export function rateText({ syncers }: LayerStatus): string {
  const rates = syncers.flatMap(({ rate }) => rate ?? []);
  if (rates.length === 0) return '';
  const coordinator = syncers.find(({ coordinates }) => coordinates);
  const [down, up] = (['down', 'up'] as const).map((direction) =>
    rates.reduce((sum, rate) => sum + rate[direction], 0),
  ) as [number, number];
  const moving = [
    ...(down > 0 ? [`${formatBytes(down)}/s down`] : []),
    ...(up > 0 ? [`${formatBytes(up)}/s up`] : []),
  ];
  return `bandwidth: ${allowed(coordinator)}; now ${moving.join(', ') || 'nothing'}`;
}

/** Only the coordinator reports the limit: during a takeover it is not known. */
function allowed(coordinator: SyncerStatus | undefined): string {
  if (!coordinator) return 'limit not known';
  return coordinator.limit === undefined ? 'no limit' : `limit ${formatBitRate(coordinator.limit)}`;
}
