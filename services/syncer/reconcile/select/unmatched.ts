import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import type { Failure } from '#proto/sync/passes.ts';

/** `tags`: number of distinct tags at the parent and here. `isMissing`: those here are all that is left of it. */
type RepositoryTags = { repository: string; tags: number; isMissing?: boolean };

/**
 * Selections that matched no tag, neither at the parent nor here, or only repositories that the parent no longer knows,
 * in a pass that compared everything. Pure.
 */
export function unmatchedPatterns(
  patterns: readonly string[],
  surveys: readonly RepositoryTags[],
  failures: readonly Failure[],
): string[] {
  // A repository that could not be compared may have tags.
  const isUnsure = (pattern: string) =>
    failures.some(({ repository }) => repository === undefined || matchesPattern([pattern], repository));
  const matched = new Set(matchedPatterns(patterns, surveys));
  return patterns.filter((pattern) => !matched.has(pattern) && !isUnsure(pattern));
}

/** Selections that matched a tag. */
export const matchedPatterns = (patterns: readonly string[], surveys: readonly RepositoryTags[]): string[] =>
  patterns.filter((pattern) =>
    surveys.some(
      ({ repository, tags, isMissing }) => tags > 0 && !isMissing && matchesPattern([pattern], repository),
    ),
  );
