import { deleteSynchronized, listRepositories, listTags } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Repository, Tag } from '#proto/oci/names.ts';
import { selectionOf } from '#proto/oci/repository-pattern.ts';
import { listEntries } from './context/lists.ts';
import type { PassContext } from './context/pass-context.ts';
import { isRefusedByParent, type RefusedRepositories } from './context/refused-repositories.ts';

/** Max repositories that are tried as proof that the login is not refused as a whole. */
const MAX_PROOFS = 8;

/**
 * Deletes pulled content from repositories whose right was withdrawn at an Azure Container Registry. For ReadOnly
 * layers. A right counts as withdrawn if every pass of an hour found it refused, and the registry, asked now, refuses a
 * tag of the repository and returns one of another repository with the same login: a fault of the login or of the token
 * service concerns all repositories. Other registries answer a wrong login in the same way, as an anonymous one.
 */
export async function deleteRefused(
  context: PassContext,
  refused: RefusedRepositories,
  due: readonly Repository[],
): Promise<void> {
  const { bus, stats, log, signal } = context;
  if (due.length === 0 || !(await isLoginAccepted(context, refused))) return;
  for (const repository of due) {
    signal.throwIfAborted();
    try {
      if (!(await isWithdrawn(context, repository))) continue;
      const { tags, manifests } = await bus.call(deleteSynchronized, { repository });
      stats.dropped += tags;
      refused.deleted(repository);
      log.warn({ repository, tags, manifests }, 'the parent withdrew the repository; content deleted');
    } catch (error) {
      signal.throwIfAborted();
      stats.fail({ repository }, error);
    }
  }
}

async function isWithdrawn(context: PassContext, repository: Repository): Promise<boolean> {
  const tag = await firstTag(context, repository);
  if (tag === undefined) return true;
  try {
    await context.parent.resolve(repository, tag, context.signal);
    return false;
  } catch (error) {
    if (isRefusedByParent(error)) return true;
    throw error;
  }
}

/** Whether the registry returns a tag of a repository that it does not refuse. */
async function isLoginAccepted(context: PassContext, refused: RefusedRepositories): Promise<boolean> {
  const { bus, configuration, parent, signal } = context;
  const local = listEntries(
    (page) => bus.call(listRepositories, page, { signal }),
    (page) => page.repositories,
    (name) => name,
  );
  let proofs = 0;
  for await (const repository of local) {
    if (refused.isRefused(repository) || !selectionOf(configuration.repositories, repository)) continue;
    const tag = await firstTag(context, repository);
    if (tag === undefined) continue;
    const digest = await parent.resolve(repository, tag, signal).catch(() => undefined);
    if (digest !== undefined) return true;
    proofs += 1;
    if (proofs >= MAX_PROOFS) break;
  }
  return false;
}

async function firstTag({ bus, signal }: PassContext, repository: Repository): Promise<Tag | undefined> {
  try {
    const { tags } = await bus.call(listTags, { repository, limit: 1 }, { signal });
    return tags[0]?.tag;
  } catch (error) {
    if (Fault.is(error, 'name-unknown')) return undefined;
    throw error;
  }
}
