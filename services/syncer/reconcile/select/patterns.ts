import { matchesPattern } from '#proto/oci/repository-pattern.ts';

/**
 * Selection: which part of the parent a layer holds. Pure functions of the configuration.
 *
 * The pass selects from the outside in: repositories by pattern (this file), tags by filter (`tag-filter.ts`), children
 * of an index by platform (`platforms.ts`), and referrers by artifact type (`referrer-filter.ts`). At the end,
 * `unmatched.ts` finds the patterns that matched nothing, for the status of the link.
 */

/** The selection that applies to a repository: its exact name, else the longest prefix, else `*`. */
export function selectionOf<S extends { name: string }>(
  selections: readonly S[],
  repository: string,
): S | undefined {
  const matching = selections.filter(({ name }) => matchesPattern([name], repository));
  return (
    matching.find(({ name }) => name === repository) ??
    matching.sort((a, b) => b.name.length - a.name.length)[0]
  );
}

/** Repositories that the patterns name exactly. */
export const exactNames = (patterns: readonly string[]): string[] => [
  ...new Set(patterns.filter((pattern) => !pattern.endsWith('*'))),
];

/** Whether the parent's catalog is needed to resolve the patterns. */
export const needsCatalog = (patterns: readonly string[]): boolean =>
  patterns.some((pattern) => pattern.endsWith('*'));
