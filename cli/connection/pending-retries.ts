import type { Bus } from '#proto/bus/bus.ts';
import { syncRepositories, syncTags } from '#proto/sync/behind.ts';
import { listParked } from '#proto/sync/outgoing.ts';
import type { Retried } from '#proto/sync/passes.ts';
import type { PendingRetry } from '../text/sync/retry-text.ts';

/** What waits for a retry: from the requests that the operators' API answers with. */

/** Max entries that are named: there may be one for each tag of a layer. */
const MAX_NAMED = 1_000;
const PAGE = 200;

/** Changes that the parent refused, tags whose last attempt failed, and repositories that could not be compared. */
export async function pendingRetries(
  bus: Bus,
  only: Retried,
): Promise<{ pending: PendingRetry[]; more: boolean }> {
  const pending: PendingRetry[] = [];
  for await (const one of allPending(bus, only)) {
    if (pending.length === MAX_NAMED) return { pending, more: true };
    pending.push(one);
  }
  return { pending, more: false };
}

async function* allPending(bus: Bus, { repository, reference }: Retried): AsyncGenerator<PendingRetry> {
  // An entry of this repository sorts after its name alone.
  for (let after = repository === undefined ? undefined : `${repository}!`; ; ) {
    const query = { limit: PAGE, ...(after !== undefined && { after }) };
    const { parked, more } = await bus.call(listParked, query);
    for (const one of parked) {
      if (repository !== undefined && one.repository !== repository) break;
      const { code, reason } = one;
      if (reference !== undefined && one.reference !== reference && one.digest !== reference) continue;
      yield { kind: 'refused', repository: one.repository, reference: one.reference, code, reason };
    }
    const last = parked.at(-1);
    if (!more || !last || (repository !== undefined && last.repository !== repository)) break;
    after = `${last.repository}!${last.reference}`;
  }
  for await (const figures of repositoriesBehind(bus, repository)) {
    const { uncompared, behind } = figures;
    if (uncompared && reference === undefined) {
      const { code, reason } = uncompared;
      yield { kind: 'uncompared', repository: figures.repository, code, reason };
    }
    if (behind.failed > 0) yield* failedTags(bus, figures.repository, reference);
  }
}

async function* repositoriesBehind(bus: Bus, repository: string | undefined) {
  if (repository !== undefined) {
    yield* (await bus.call(syncRepositories, { repository, limit: 1 })).repositories;
    return;
  }
  for (let after: string | undefined; ; ) {
    const query = { limit: PAGE, ...(after !== undefined && { after }) };
    const { repositories, more, searched } = await bus.call(syncRepositories, query);
    yield* repositories.filter(({ behind, uncompared }) => behind.failed > 0 || uncompared);
    after = searched ?? repositories.at(-1)?.repository;
    if (!more || after === undefined) return;
  }
}

async function* failedTags(
  bus: Bus,
  repository: string,
  reference: string | undefined,
): AsyncGenerator<PendingRetry> {
  for (let after: string | undefined; ; ) {
    const query = { repository, limit: PAGE, differing: true, ...(after !== undefined && { after }) };
    const { tags, more } = await bus.call(syncTags, query);
    for (const { tag, behind } of tags) {
      const { code, reason, target } = behind ?? {};
      if (code === undefined || (reference !== undefined && reference !== tag && reference !== target))
        continue;
      yield { kind: 'failed', repository, reference: tag, code, reason: reason ?? '' };
    }
    after = tags.at(-1)?.tag;
    if (!more || after === undefined) return;
  }
}
