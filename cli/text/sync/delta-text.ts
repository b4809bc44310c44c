import type { DeltaMode } from '#proto/content/deltas.ts';
import { formatSeconds } from '#proto/contract/quantity-text.ts';
import type {
  DeltaBase,
  ImageDeltas,
  LayerArrival,
  LayerDeltas,
} from '#proto/overview/content/image-deltas.ts';
import { formatBytes, formatDuration, plural } from '../../terminal/figures.ts';
import { wrapLines } from '../../terminal/layout.ts';
import { table } from '../../terminal/table.ts';

/** What `terrace delta explain` prints. Pure. */

export type ShownDeltas = { name: string; mode?: DeltaMode } & ImageDeltas;

/** Max layers, deltas and refused pairs that are listed of one manifest. */
const MAX_LISTED = 100;

const REASONS = {
  poor: 'its delta is hardly smaller, or takes more than the budgets',
  wrong: 'its delta made other bytes: see the events delta.mismatched',
};

/** @param width to which it is fitted */
export function imageDeltasText(shown: ShownDeltas, now: number, width: number): string {
  const { name, digest, manifests, mode } = shown;
  const off =
    mode === 'off'
      ? 'This layer neither makes nor takes deltas: its configuration says delta.mode: off.'
      : '';
  const none = manifests.length === 0 ? 'None of its manifests is here.' : '';
  const sections = [
    `${name}\n${digest}`,
    wrapLines([off, none].filter(Boolean).join('\n'), width),
    ...manifests.flatMap((one) => [
      manifests.length > 1 ? `${one.platform ?? 'no platform'}: ${short(one.digest)}` : '',
      layerTable(one.layers, now, width),
      deltaTable(one.layers, now, width),
      refusedTable(one.layers, width),
    ]),
  ];
  return sections.filter(Boolean).join('\n\n');
}

function layerTable(layers: LayerDeltas[], now: number, width: number): string {
  const rows = layers
    .slice(0, MAX_LISTED)
    .map(({ digest, size, arrival }, index) => [
      String(index + 1),
      short(digest),
      formatBytes(size),
      arrival ? arrivalText(arrival, now) : 'no transfer is on record',
    ]);
  return withMore(table([['LAYER', 'DIGEST', 'SIZE', 'CAME'], ...rows], width), layers.length - rows.length);
}

/** `12 min ago: 3.1 MB by delta, 46.5 MB saved, CPU 0.9 s` */
function arrivalText({ at, by, bytes, saved, cpuMs }: LayerArrival, now: number): string {
  const how =
    by === 'blob'
      ? 'in full'
      : [
          `${formatBytes(bytes)} by ${by}`,
          `${formatBytes(saved)} saved`,
          ...(cpuMs === undefined ? [] : [`CPU ${formatSeconds(cpuMs)}`]),
        ].join(', ');
  return `${ago(at, now)}: ${how}`;
}

function deltaTable(layers: LayerDeltas[], now: number, width: number): string {
  const all = layers.flatMap(({ deltas }, index) => deltas.map((delta) => ({ ...delta, layer: index + 1 })));
  if (all.length === 0) return 'No delta to any of its layers is kept here.';
  const rows = all
    .slice(0, MAX_LISTED)
    .map(({ layer, from, kind, size, share, cpuMs, made, used }) => [
      String(layer),
      basesText(from),
      kind,
      formatBytes(size),
      shareText(share),
      formatSeconds(cpuMs),
      ago(made, now),
      ago(used, now),
    ]);
  const head = ['LAYER', 'DELTA FROM', 'KIND', 'SIZE', 'SHARE', 'CPU', 'MADE', 'USED'];
  return withMore(table([head, ...rows], width), all.length - rows.length);
}

function refusedTable(layers: LayerDeltas[], width: number): string {
  const all = layers.flatMap(({ refused }, index) => refused.map((one) => ({ ...one, layer: index + 1 })));
  if (all.length === 0) return '';
  const rows = all
    .slice(0, MAX_LISTED)
    .map(({ layer, from, reason }) => [String(layer), basesText(from), REASONS[reason]]);
  return withMore(table([['LAYER', 'NO DELTA FROM', 'WHY'], ...rows], width), all.length - rows.length);
}

/** `0123456789ab (2.0 before), ba9876543210` */
const basesText = (from: DeltaBase[]): string =>
  from
    .map(({ digest, names }) => `${short(digest)}${names.length > 0 ? ` (${names.join(', ')})` : ''}`)
    .join(', ');

const shareText = (share: number): string => {
  const percent = 100 * share;
  return `${percent < 10 ? Math.round(percent * 10) / 10 : Math.round(percent)} %`;
};

const ago = (instant: number, now: number): string => `${formatDuration(Math.max(0, now - instant))} ago`;

/** Without its algorithm, as in other tables. */
const short = (digest: string): string => digest.slice(digest.indexOf(':') + 1).slice(0, 12);

const withMore = (text: string, more: number): string =>
  more > 0 ? `${text}\n… and ${plural(more, 'other')}: --json has all` : text;
