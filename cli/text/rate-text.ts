import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { formatBitRate, formatBytes } from '../terminal/figures.ts';

/** The bandwidth limit in force and what crosses the link now, in one line for people; empty if no syncer says. */
export function rateText({ syncers }: LayerStatus): string {
  const rates = syncers.flatMap(({ rate }) => rate ?? []);
  if (rates.length === 0) return '';
  const limit = syncers.find(({ coordinates }) => coordinates)?.limit;
  const [down, up] = (['down', 'up'] as const).map((direction) =>
    rates.reduce((sum, rate) => sum + rate[direction], 0),
  ) as [number, number];
  const moving = [
    ...(down > 0 ? [`${formatBytes(down)}/s down`] : []),
    ...(up > 0 ? [`${formatBytes(up)}/s up`] : []),
  ];
  const allowed = limit === undefined ? 'no limit' : `limit ${formatBitRate(limit)}`;
  return `bandwidth: ${allowed}; now ${moving.join(', ') || 'nothing'}`;
}
