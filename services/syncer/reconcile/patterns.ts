/**
 * Repository patterns: `*` (all), `prefix/*` (all below prefix), or one repository's name.
 */
export function matches(patterns: readonly string[], repository: string): boolean {
  return patterns.some((pattern) => {
    if (pattern === '*') return true;
    if (pattern.endsWith('/*')) return repository.startsWith(pattern.slice(0, -1));
    return pattern === repository;
  });
}

/** The entry that counts for a repository: its own name, else the longest prefix, else `*`. */
export function selectionOf<S extends { name: string }>(
  selections: readonly S[],
  repository: string,
): S | undefined {
  const fitting = selections.filter(({ name }) => matches([name], repository));
  return (
    fitting.find(({ name }) => name === repository) ??
    fitting.sort((a, b) => b.name.length - a.name.length)[0]
  );
}

/** The repositories that the patterns name outright. */
export const named = (patterns: readonly string[]): string[] => [
  ...new Set(patterns.filter((pattern) => !pattern.endsWith('*'))),
];

/** Whether the parent's catalog is needed to know what the patterns select. */
export const needsCatalog = (patterns: readonly string[]): boolean =>
  patterns.some((pattern) => pattern.endsWith('*'));
