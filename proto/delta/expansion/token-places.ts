import type { Expansion } from './expansion.ts';

export type Side = 'below' | 'above';

/** Place of the content that belongs to one of the tokens, not behind it (`below`) or not before it (`above`). */
export const contentAt = ({ places, content }: Expansion, tokens: number, side: Side): number =>
  placeOf(places.tokens, places.content, tokens, side, content.size);
/** The same the other way round. */
export const tokensAt = ({ places, tokens }: Expansion, content: number, side: Side): number =>
  placeOf(places.content, places.tokens, content, side, tokens.size);

/** The known place next to a key on this side. */
function placeOf(keys: number[], values: number[], key: number, side: Side, end: number): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const isBefore = side === 'below' ? (keys[middle] as number) <= key : (keys[middle] as number) < key;
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  if (side === 'below') return values[low - 1] ?? 0;
  return values[low] ?? end;
}
