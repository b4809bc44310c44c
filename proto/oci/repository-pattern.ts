import { Type } from '../contract/schema.ts';
import { isRepository } from './names.ts';

/** `*`, `prefix/*` or the name of one repository. */
export const RepositoryPattern = Type.String({
  pattern: '^(?:\\*|[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?:/\\*)?)$',
  maxLength: 255,
});

/** The same as a function that checks the whole name. */
export const isRepositoryPattern = (pattern: string): boolean =>
  pattern === '*' || isRepository(pattern.endsWith('/*') ? pattern.slice(0, -2) : pattern);

/** Whether a pattern matches: `*` (all), `prefix/*` (all below the prefix), or the name of one repository. */
export function matchesPattern(patterns: readonly string[], repository: string): boolean {
  return patterns.some((pattern) => {
    if (pattern === '*') return true;
    if (pattern.endsWith('/*')) return repository.startsWith(pattern.slice(0, -1));
    return pattern === repository;
  });
}

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
