/**
 * Selection: which part of the parent a layer holds. Pure functions of the configuration.
 *
 * The pass selects from the outside in: repositories by pattern (this file), tags by filter (`tag-filter.ts`), children
 * of an index by platform (`choose`), and referrers by artifact type (`referrer-filter.ts`). At the end,
 * `unmatched.ts` finds the patterns that matched nothing, for the status of the link.
 */

/** Repositories that the patterns name exactly. */
export const exactNames = (patterns: readonly string[]): string[] => [
  ...new Set(patterns.filter((pattern) => !pattern.endsWith('*'))),
];

/** Whether the parent's catalog is needed to resolve the patterns. */
export const needsCatalog = (patterns: readonly string[]): boolean =>
  patterns.some((pattern) => pattern.endsWith('*'));
