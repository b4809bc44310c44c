import { MAX_NAMED_FILES } from './target/backup-format.ts';

/** Files that a configuration names, in its order, each once: the values of its fields that end in `File`. Pure. */
export function namedFiles(configuration: unknown): string[] {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || found.size >= MAX_NAMED_FILES) return;
    for (const [field, inner] of Object.entries(value)) {
      if (typeof inner === 'string' && field.endsWith('File')) found.add(inner);
      else visit(inner);
    }
  };
  visit(configuration);
  return [...found];
}
