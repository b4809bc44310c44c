import { clip } from '../contract/clip.ts';
import { packedSize } from '../contract/packed-size.ts';
import { type LayerReport, type LayersReport, MAX_DEPTH, MAX_LAYERS } from './layers-below.ts';

/**
 * Selects the layers below that fit into one report, so that the parent accepts the report for any number of layers and
 * any content of theirs. Pure.
 */

/** Max length of the `detail` of a link in a report, in characters. */
const MAX_DETAIL = 300;
/** Max size of all layers of a report, packed, in bytes: those of some hundred children fit into their bucket. */
const MAX_BYTES = 256 * 1024;

type ReceivedLayer = NonNullable<LayersReport['layers']>[number];

/** Layers as the children reported them, each path prefixed with its child. `children`: layers by child. */
export function prefixPaths(
  children: Iterable<readonly [child: string, layers: readonly LayerReport[]]>,
): LayerReport[] {
  return [...children].flatMap(([child, layers]) =>
    layers.map((layer) => ({ ...layer, path: [child, ...layer.path] })),
  );
}

/**
 * As many layers as fit into one report: the layer itself, then the layers of its children in turn, nearest first. The
 * layer itself carries the number of layers left out. Of two layers with the same path, the first one counts.
 */
export function fitReport(self: LayerReport, others: readonly LayerReport[]): LayerReport[] {
  const chosen = new Set<LayerReport>();
  let size = packedSize(shorten(self));
  let leftOut = self.leftOut ?? 0;
  for (const layer of roundRobin(others)) {
    const bytes = packedSize(shorten(layer));
    if (layer.path.length > MAX_DEPTH || chosen.size >= MAX_LAYERS - 1 || size + bytes > MAX_BYTES) {
      leftOut = Math.min(Number.MAX_SAFE_INTEGER, leftOut + 1 + (layer.leftOut ?? 0));
      continue;
    }
    size += bytes;
    chosen.add(layer);
  }
  const first = { ...shorten(self), ...(leftOut > 0 && { leftOut }) };
  return [first, ...others.filter((layer) => chosen.has(layer)).map(shorten)];
}

/** A child's report of itself and the layers below it, as stored. Empty if the child did not report itself. */
export function layersToStore(received: readonly ReceivedLayer[]): LayerReport[] {
  const self = received.find(({ path }) => path.length === 0);
  return self ? fitReport(shorten(self), received.filter(({ path }) => path.length > 0).map(shorten)) : [];
}

function shorten({ link, ...layer }: ReceivedLayer): LayerReport {
  if (!link) return layer;
  const { detail, leftOut, ...facts } = link;
  return {
    ...layer,
    link: {
      ...facts,
      ...(detail !== undefined && { detail: clip(detail, MAX_DETAIL) }),
      // The detail names an example.
      ...(leftOut && { leftOut: { ...leftOut, first: [] } }),
    },
  };
}

/** The first layer of each child, then the second of each, and so on; within a child, the nearest first. */
function roundRobin(layers: readonly LayerReport[]): LayerReport[] {
  const seen = new Set<string>();
  const ranks = new Map<string, number>();
  return layers
    .filter(({ path }) => {
      const key = path.join('/');
      return !seen.has(key) && seen.add(key);
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
