import { clip } from '../contract/clip.ts';
import { packedSize } from '../contract/contract.ts';
import { type LayerReport, MAX_DEPTH, MAX_LAYERS, type Report } from './layers-below.ts';

/**
 * What of the layers below goes into one report, so that the report of a layer is taken by the next one up however many
 * there are and whatever they say of themselves. Pure.
 */

/** Of a sentence about a link, in a report. */
const MAX_DETAIL = 300;
/** All of a report's layers, packed: those of some hundred children fit into their bucket. */
const MAX_BYTES = 256 * 1024;

type Told = NonNullable<Report['layers']>[number];

/** What the children told, one path below each: `children` has each one's layers by its name. */
export function beneath(
  children: Iterable<readonly [child: string, layers: readonly LayerReport[]]>,
): LayerReport[] {
  return [...children].flatMap(([child, layers]) =>
    layers.map((layer) => ({ ...layer, path: [child, ...layer.path] })),
  );
}

/**
 * As many layers as one report may have: the layer itself, then, of each of its children in turn, the nearest ones. How
 * many are left out is told with the layer itself. Of two with one path the first counts.
 */
export function fitting(own: LayerReport, others: readonly LayerReport[]): LayerReport[] {
  const chosen = new Set<LayerReport>();
  let size = packedSize(brief(own));
  let leftOut = own.leftOut ?? 0;
  for (const layer of inTurn(others)) {
    const bytes = packedSize(brief(layer));
    if (layer.path.length > MAX_DEPTH || chosen.size >= MAX_LAYERS - 1 || size + bytes > MAX_BYTES) {
      leftOut = Math.min(Number.MAX_SAFE_INTEGER, leftOut + 1 + (layer.leftOut ?? 0));
      continue;
    }
    size += bytes;
    chosen.add(layer);
  }
  const itself = { ...brief(own), ...(leftOut > 0 && { leftOut }) };
  return [itself, ...others.filter((layer) => chosen.has(layer)).map(brief)];
}

/** What a child told of itself and of those below it, as it is kept; nothing where it did not tell of itself. */
export function kept(told: readonly Told[]): LayerReport[] {
  const own = told.find(({ path }) => path.length === 0);
  return own ? fitting(brief(own), told.filter(({ path }) => path.length > 0).map(brief)) : [];
}

function brief({ link, ...layer }: Told): LayerReport {
  if (!link) return layer;
  const { detail, ...rest } = link;
  return { ...layer, link: { ...rest, ...(detail !== undefined && { detail: clip(detail, MAX_DETAIL) }) } };
}

/** The first of each child, then the second of each, and so on; of one child the nearest first. */
function inTurn(layers: readonly LayerReport[]): LayerReport[] {
  const seen = new Set<string>();
  const ranks = new Map<string, number>();
  return layers
    .filter(({ path }) => {
      const place = path.join('/');
      return !seen.has(place) && seen.add(place);
    })
    .sort((a, b) => a.path.length - b.path.length)
    .map((layer) => {
      const child = layer.path[0] ?? '';
      const rank = ranks.get(child) ?? 0;
      ranks.set(child, rank + 1);
      return { layer, rank };
    })
    .sort((a, b) => a.rank - b.rank)
    .map(({ layer }) => layer);
}
