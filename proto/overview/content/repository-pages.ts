import type { BusCaller } from '../../bus/roles.ts';
import { type RepositoryFigures, syncRepositories } from '../../sync/behind.ts';

/** Entries per call to storage, and max calls for one page: a search that finds little continues with `next`. */
const BATCH = 200;
const MAX_CALLS = 10;

export type RepositorySearch = {
  after?: string | undefined;
  only?: 'behind' | 'ahead' | undefined;
  /** Only names that contain this. */
  match?: string | undefined;
  /** With `bytes` and `changed`. */
  contents?: boolean | undefined;
};

/** A page of the figures of repositories, in bytewise order. `next` is absent on the last one. */
export async function repositoryPage(
  bus: BusCaller,
  { after, only, match, contents }: RepositorySearch,
  limit: number,
  options: { patience?: number; signal?: AbortSignal } = {},
): Promise<{ found: RepositoryFigures[]; next?: string }> {
  const found: RepositoryFigures[] = [];
  let last = after;
  for (let calls = 0; calls < MAX_CALLS; calls += 1) {
    const query = {
      limit: Math.min(BATCH, limit - found.length),
      ...(last !== undefined && { after: last }),
      ...(only && { only }),
      ...(match !== undefined && { match }),
      ...(contents && { contents }),
    };
    const page = await bus.call(syncRepositories, query, options);
    for (const figures of page.repositories) found.push(figures);
    if (!page.more) return { found };
    last = page.searched ?? page.repositories.at(-1)?.repository ?? last;
    if (found.length >= limit) break;
  }
  return { found, ...(last !== undefined && { next: last }) };
}
