import { listScopeMaps, listTokens, type ScopeMap, type Token } from '#proto/accounts/accounts.ts';
import { type Child, listChildren } from '#proto/accounts/children.ts';
import type { Operation } from './with-storage.ts';

/** Complete lists, read from storage page by page. */

type Deps = Pick<Operation, 'bus' | 'signal'>;

export function listAllTokens({ bus, signal }: Deps): Promise<Token[]> {
  return readPages(500, async (page) => {
    const { tokens, more } = await bus.call(listTokens, page, { signal });
    return [tokens, more];
  });
}

export function listAllScopeMaps({ bus, signal }: Deps): Promise<ScopeMap[]> {
  return readPages(20, async (page) => {
    const { scopeMaps, more } = await bus.call(listScopeMaps, page, { signal });
    return [scopeMaps, more];
  });
}

/** The activated child instances. */
export function listAllActivated({ bus, signal }: Deps): Promise<Child[]> {
  return readPages(500, async (page) => {
    const { children, more } = await bus.call(listChildren, page, { signal });
    return [children, more];
  });
}

async function readPages<T extends { name: string }>(
  limit: number,
  read: (page: { after?: string; limit: number }) => Promise<[items: T[], more: boolean]>,
): Promise<T[]> {
  const all: T[] = [];
  for (let more = true; more; ) {
    const after = all.at(-1)?.name;
    const [items, hasMore] = await read({ limit, ...(after !== undefined && { after }) });
    for (const item of items) all.push(item);
    more = hasMore;
  }
  return all;
}
