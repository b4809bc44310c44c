import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { urlOf } from '../data/ports.ts';
import { formatClock, formatDuration } from '../terminal/figures.ts';

/** The layer itself, for people: name, address, version and certificate. */

/** A certificate that ends within this time is to be renewed, in ms: the gateway warns from then on, too. */
const SOON_MS = 14 * 86_400_000;

export function layerText({ configuration, silent, services }: LayerStatus, now: number): string {
  if (!configuration && silent.includes('storage')) {
    return 'The configuration is unknown: storage, which has it, does not answer.';
  }
  if (!configuration) return 'No configuration is in force.';
  const { name, mode } = configuration;
  const versions = [...new Set(services.flatMap(({ version }) => version ?? []))].sort();
  const [end] = services.flatMap(({ certificateEnds }) => certificateEnds ?? []).sort((a, b) => a - b);
  return [
    `Layer "${name}" at ${urlOf(configuration)} (${mode})`,
    ...(versions.length > 0 ? [`  version ${versions.join(' and ')}`] : []),
    ...(end === undefined ? [] : [`  ${certificateText(end, now)}`]),
  ].join('\n');
}

function certificateText(end: number, now: number): string {
  const left = end - now;
  if (left <= 0) return `certificate EXPIRED on ${formatClock(end)}, and clients reject it: renew it`;
  const remedy = left < SOON_MS ? ': renew it' : '';
  return `certificate ends on ${formatClock(end)} (in ${formatDuration(left)})${remedy}`;
}
