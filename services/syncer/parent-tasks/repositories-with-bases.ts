import type { BusCaller } from '#proto/bus/roles.ts';
import { listTags } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';

/**
 * Which repositories have an image here, so that there is a base: of their content, a parent that gets it in full makes
 * a delta as soon as it has all of it, and the pass asks for that.
 */
export async function repositoriesWithBases(
  bus: BusCaller,
  repositories: Iterable<Repository>,
  signal: AbortSignal,
): Promise<Set<Repository>> {
  const withBases = new Set<Repository>();
  for (const repository of new Set(repositories)) {
    const found = await bus.call(listTags, { repository, limit: 1 }, { signal }).catch((error) => {
      if (Fault.is(error, 'name-unknown')) return undefined;
      throw error;
    });
    if (found && found.tags.length > 0) withBases.add(repository);
  }
  return withBases;
}
