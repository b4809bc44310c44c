import { matches } from '#proto/oci/repository-pattern.ts';
import type { Failure } from '#proto/sync/passes.ts';

/** `tags`: how many it has, at the parent and here together. */
type Found = { repository: string; tags: number };

/** Selections by which a pass that looked at everything found no tag, neither at the parent nor here. Pure. */
export function unmatchedPatterns(
  patterns: readonly string[],
  surveys: readonly Found[],
  failures: readonly Failure[],
): string[] {
  // What could not be looked at says nothing of what is there.
  const isUnsure = (pattern: string) =>
    failures.some(({ repository }) => repository === undefined || matches([pattern], repository));
  const matched = new Set(matchedPatterns(patterns, surveys));
  return patterns.filter((pattern) => pattern !== '*' && !matched.has(pattern) && !isUnsure(pattern));
}

/** Selections by which a pass found something. */
export const matchedPatterns = (patterns: readonly string[], surveys: readonly Found[]): string[] =>
  patterns.filter((pattern) =>
    surveys.some(({ repository, tags }) => tags > 0 && matches([pattern], repository)),
  );
