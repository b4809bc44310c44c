import { type Bytes, joined } from '../bytes/bytes.ts';
import type { Expansion, TokenPlaces } from './expansion.ts';

type Streams = Omit<Expansion, 'places'>;

/** What several bases have, one behind the other. */
export function joinedExpansion(expansions: readonly Expansion[]): Expansion {
  const of = (name: keyof Streams): Bytes => joined(expansions.map((expansion) => expansion[name]));
  const places: TokenPlaces = { content: [], tokens: [] };
  let [content, tokens] = [0, 0];
  for (const expansion of expansions) {
    for (const at of expansion.places.content) places.content.push(at + content);
    for (const at of expansion.places.tokens) places.tokens.push(at + tokens);
    content += expansion.content.size;
    tokens += expansion.tokens.size;
  }
  return {
    content: of('content'),
    segments: of('segments'),
    tokens: of('tokens'),
    blocks: of('blocks'),
    places,
  };
}
