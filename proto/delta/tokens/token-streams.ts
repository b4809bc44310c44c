/** What is kept of tokens: how many are as predicted before each that is not, and of that its `Miss` and its parts. */
export type TokenStream = 'hits' | 'misses' | 'lengths' | 'near' | 'far';

/** Kinds of tokens that are not as predicted, and what is kept of them. */
export const Miss = {
  /** A literal. */
  literal: 0,
  /** A match at the predicted distance: its length. */
  otherLength: 1,
  /** A match as long as possible: its distance. */
  otherDistance: 2,
  /** A match: its length and distance. */
  other: 3,
  /** A match of 258 bytes coded as symbol 284 with 31 as its extra bits: its distance. */
  long: 4,
} as const;
