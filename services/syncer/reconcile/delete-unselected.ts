import { deleteSynchronized } from '#proto/content/manifests.ts';
import type { Repository } from '#proto/oci/names.ts';
import type { PassContext } from './context/pass-context.ts';

/** Deletes pulled content from repositories that no selection covers any more. For ReadOnly layers. */
export async function deleteUnselected(
  { bus, stats, log, signal }: PassContext,
  unselected: Repository[],
): Promise<void> {
  for (const repository of unselected) {
    signal.throwIfAborted();
    try {
      const { tags, manifests } = await bus.call(deleteSynchronized, { repository });
      stats.dropped += tags;
      if (tags + manifests > 0)
        log.info({ repository, tags, manifests }, 'repository no longer selected; content deleted');
    } catch (error) {
      signal.throwIfAborted();
      stats.fail({ repository }, error);
    }
  }
}
