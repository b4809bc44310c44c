import type { Bytes } from '../bytes/bytes.ts';
import { findMatches, type Match } from './matches.ts';
import { References } from './references.ts';

/** What two contents have in common. */
export type Comparison = { matches: readonly Match[]; references: References };

export function compare(before: Bytes, after: Bytes): Comparison {
  const matches = findMatches(before, after);
  return { matches, references: new References(matches, before.size) };
}
