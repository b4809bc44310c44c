import { type Bytes, joined } from '../bytes/bytes.ts';
import { noPlaces } from '../tokens/token-places.ts';
import type { Expansion } from './expansion.ts';

type Streams = Omit<Expansion, 'places'>;

/** What several bases have, one behind the other. */
export function joinedExpansion(expansions: readonly Expansion[]): Expansion {
  const [only] = expansions;
  if (only && expansions.length === 1) return only;
  const of = (name: keyof Streams): Bytes => joined(expansions.map((expansion) => expansion[name]));
  const places = noPlaces();
  let [inContent, inTokens] = [0, 0];
  const add = (target: number[], numbers: readonly number[], distance: number) => {
    for (const number of numbers) target.push(number + distance);
  };
  for (const { content, tokens, places: own } of expansions) {
    add(places.content, own.content, inContent);
    add(places.tokens, own.tokens, inTokens);
    add(places.streams.start, own.streams.start, inContent);
    add(places.streams.end, own.streams.end, inContent);
    add(places.streams.tokens, own.streams.tokens, inTokens);
    inContent += content.size;
    inTokens += tokens.size;
  }
  return {
    content: of('content'),
    segments: of('segments'),
    tokens: of('tokens'),
    blocks: of('blocks'),
    places,
  };
}
