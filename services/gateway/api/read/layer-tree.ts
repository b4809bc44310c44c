import type { LayerBelow, Layers } from '#proto/api/layers.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { MAX_DEPTH } from '#proto/status/layers-below.ts';

type Reported = NonNullable<LayerStatus['below']>[number];

/** Max layers in one answer. */
const MAX_NODES = 1_000;

/**
 * The layers below as a tree, nearest first if there are too many. A layer whose parent did not report itself is placed
 * below a stand-in for that. Pure.
 */
export function treeOf(below: readonly Reported[]): Layers {
  const roots: LayerBelow[] = [];
  const nodes = new Map<string, LayerBelow>();
  const place = (path: string[], node: LayerBelow): void => {
    const above = path.slice(0, -1);
    const siblings = above.length === 0 ? roots : nodeAt(above, node.seen).children;
    siblings.push(node);
    nodes.set(keyOf(path), node);
  };
  const nodeAt = (path: string[], seen: number): LayerBelow => {
    const known = nodes.get(keyOf(path));
    if (known) return known;
    const standIn: LayerBelow = { path, name: path.at(-1) ?? '', seen, children: [] };
    place(path, standIn);
    return standIn;
  };
  const layers = below
    .map(({ child, path, ...layer }) => ({ ...layer, path: [child, ...path] }))
    .filter(({ path }) => path.length <= MAX_DEPTH)
    .sort((a, b) => a.path.length - b.path.length || (keyOf(a.path) < keyOf(b.path) ? -1 : 1));
  for (const layer of layers) {
    if (nodes.size >= MAX_NODES) break;
    if (!nodes.has(keyOf(layer.path))) place(layer.path, { ...layer, children: [] });
  }
  return { items: roots, count: layers.length, more: layers.length > nodes.size };
}

const keyOf = (path: string[]): string => path.join('/');
