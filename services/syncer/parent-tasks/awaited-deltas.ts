import type { BusCaller } from '#proto/bus/roles.ts';
import type { DeltaMode } from '#proto/content/deltas.ts';
import { listTags } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';

/**
 * Repositories of which content is not pulled while the parent receives it: a parent that gets it in full makes a delta
 * of it as soon as it has all of it, and the pass asks for that. With `always`, bytes count more than time; there is
 * a base only where the layer has an image of the repository.
 * @param areOffered whether the parent makes deltas
 */
export async function repositoriesWithDeltas(
  bus: BusCaller,
  { mode, areOffered }: { mode: DeltaMode; areOffered: boolean },
  repositories: Iterable<Repository>,
  signal: AbortSignal,
): Promise<Set<Repository>> {
  const awaited = new Set<Repository>();
  if (mode !== 'always' || !areOffered) return awaited;
  for (const repository of new Set(repositories)) {
    const found = await bus.call(listTags, { repository, limit: 1 }, { signal }).catch((error) => {
      if (Fault.is(error, 'name-unknown')) return undefined;
      throw error;
    });
    if (found && found.tags.length > 0) awaited.add(repository);
  }
  return awaited;
}
