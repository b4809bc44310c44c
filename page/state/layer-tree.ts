import type { LayerBelow } from '#proto/api/layers.ts';
import { lastKnown } from '#proto/overview/last-known.ts';
import { agoText } from '../format/times.ts';
import { linkView } from './link-view.ts';
import { type Tone, worst } from './tone.ts';
import { figureText, STATE_WORDS } from './verdict.ts';

/** A layer of the tree as a row. `depth`: 0 for a layer directly below. `hidden`: layers below it that are folded. */
export type LayerRow = { layer: LayerBelow; depth: number; key: string; isOpen: boolean; hidden: number };

export const keyOf = ({ path }: LayerBelow): string => path.join('/');

/** The rows to show, parents before their children. `folded`: keys of layers whose children are not shown. */
export function rowsOf(layers: readonly LayerBelow[], folded: ReadonlySet<string>, depth = 0): LayerRow[] {
  return layers.flatMap((layer) => {
    const key = keyOf(layer);
    const isOpen = !folded.has(key);
    const row = { layer, depth, key, isOpen, hidden: isOpen ? 0 : countLayers(layer.children) };
    return [row, ...(isOpen ? rowsOf(layer.children, folded, depth + 1) : [])];
  });
}

export const countLayers = (layers: readonly LayerBelow[]): number =>
  layers.reduce((count, { children }) => count + 1 + countLayers(children), 0);

/** The tone of a layer: of its link, and of how it compares with its parent. */
export function toneOf({ link, sync }: Pick<LayerBelow, 'link' | 'sync'>): Tone {
  if (!link) return 'unknown';
  const figure = sync ? STATE_WORDS[sync.state].tone : 'quiet';
  return worst([linkView(link).tone, figure === 'unknown' ? 'quiet' : figure]);
}

/** How a layer compares with its parent; of one that is cut off, how it did. */
export function syncView(layer: LayerBelow, now: number): { tone: Tone; word: string } {
  const { sync } = layer;
  if (!sync) return { tone: 'unknown', word: 'Not reported' };
  const { tone } = STATE_WORDS[sync.state];
  const asOf = lastKnown(layer);
  if (asOf === undefined) return { tone, word: figureText(sync) };
  const isInSync = sync.state === 'in-sync';
  const figure = isInSync ? 'Was in sync' : figureText(sync);
  return { tone: isInSync ? 'warning' : tone, word: `${figure}, as of ${agoText(asOf, now)}` };
}

export type Summary = { layers: number; inSync: number; cutOff: number; tone: Tone };

/** Not by its window, nor by an operator. */
const isCutOff = ({ link }: LayerBelow): boolean =>
  link?.state === 'Offline' && linkView(link).tone === 'error';

/** All layers below, at any depth. */
export function summaryOf(layers: readonly LayerBelow[]): Summary {
  const all = flatten(layers);
  return {
    layers: all.length,
    inSync: all.filter((layer) => layer.sync?.state === 'in-sync' && lastKnown(layer) === undefined).length,
    cutOff: all.filter(isCutOff).length,
    tone: worst(all.map(toneOf)),
  };
}

const flatten = (layers: readonly LayerBelow[]): LayerBelow[] =>
  layers.flatMap((layer) => [layer, ...flatten(layer.children)]);
