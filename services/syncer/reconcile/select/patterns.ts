import { matches } from '#proto/oci/repository-pattern.ts';

export { matches };

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
