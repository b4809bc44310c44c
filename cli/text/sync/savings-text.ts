import type { Configuration } from '#proto/document/configuration.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { savedShare } from '#proto/overview/savings.ts';
import { formatBytes, formatDuration, plural } from '../../terminal/figures.ts';

/** What deltas save and take, in a line each; none while there is nothing to say. Pure. */

export function savingsText({ savings }: Pick<LayerStatus, 'savings'>, now: number): string[] {
  if (!savings || savings.transfers === 0) return [];
  const { saved, crossed, transfers, since, cpuMs } = savings;
  const share = `${Math.round(100 * savedShare(savings))} %`;
  return [
    `saved by deltas: ${formatBytes(saved)} of ${formatBytes(saved + crossed)} (${share}) in ${plural(transfers, 'transfer')}, since ${formatDuration(now - since)}; CPU ${formatDuration(cpuMs)}`,
  ];
}

/** The deltas that are kept, and pairs of content that get none. */
export function keptDeltasText({ storage, configuration }: LayerStatus): string[] {
  const { count = 0, bytes = 0, refused = 0 } = storage?.deltas ?? {};
  const none = refused > 0 ? [`${plural(refused, 'pair of content gets', 'pairs of content get')} none`] : [];
  if (count === 0 && refused === 0) return [];
  const kept = `${count} of ${formatBytes(bytes)}${limitText(configuration)}`;
  return [`Deltas kept for the layers below: ${[kept, ...none].join('; ')}`];
}

const limitText = (configuration: Configuration | undefined): string =>
  configuration ? `, of ${formatBytes(configuration.delta.cache)} at most` : '';
