import { listScopeMaps, listTokens } from '#proto/accounts/accounts.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { isRepository } from '#proto/oci/names.ts';
import { repositoryPage } from '#proto/overview/content/repository-pages.ts';
import { findLayer } from '../connection/connect.ts';
import { dataFolder } from '../data/data-folder.ts';
import { listAllActivated, listAllScopeMaps, listAllTokens } from '../layer/account-lists.ts';
import { childrenOf } from '../text/child-text.ts';
import type { NameKind } from './completion-spec.ts';

/** Max repositories that are proposed. */
const MAX_NAMES = 1_000;
const PAGE = 200;

/**
 * Names of the layer that runs on the data folder, for a shell that completes a word; none without a layer.
 * @param prefix with which repositories begin
 */
export async function layerNames(
  kind: NameKind,
  data: string,
  prefix: string,
  signal: AbortSignal,
): Promise<string[]> {
  await using bus = await findLayer(dataFolder(data), 'terrace-complete');
  if (!bus) return [];
  return await read[kind](bus, prefix, signal);
}

const read: Record<NameKind, (bus: Bus, prefix: string, signal: AbortSignal) => Promise<string[]>> = {
  async repositories(bus, prefix, signal) {
    const names: string[] = [];
    for (let after = beforeOf(prefix); !signal.aborted && names.length < MAX_NAMES; ) {
      const { found, next } = await repositoryPage(bus, { after, match: prefix || undefined }, PAGE);
      for (const { repository } of found) if (repository.startsWith(prefix)) names.push(repository);
      if (next === undefined || (next > prefix && !next.startsWith(prefix))) break;
      after = next;
    }
    return names;
  },
  async tokens(bus, _prefix, signal) {
    return (await bus.call(listTokens, { limit: 500 }, { signal })).tokens.map(({ name }) => name);
  },
  async scopes(bus, _prefix, signal) {
    return (await bus.call(listScopeMaps, { limit: 20 }, { signal })).scopeMaps.map(({ name }) => name);
  },
  async children(bus, _prefix, signal) {
    const deps = { bus, signal };
    const lists = [listAllTokens(deps), listAllScopeMaps(deps), listAllActivated(deps)] as const;
    return childrenOf(...(await Promise.all(lists))).map(({ name }) => name);
  },
};

/** The name of a repository before all that begin with the prefix, if there is one of this form. */
function beforeOf(prefix: string): string | undefined {
  const shorter = /^(.*[a-z0-9])[/._-]*.$/.exec(prefix)?.[1] ?? '';
  return isRepository(shorter) ? shorter : undefined;
}
