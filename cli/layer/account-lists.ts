import { listScopeMaps, listTokens, type ScopeMap, type Token } from '#proto/accounts/accounts.ts';
import { type Child, listChildren } from '#proto/accounts/children.ts';
import type { Operation } from './with-storage.ts';

/** Whole lists of what storage gives in pages. */

type Means = Pick<Operation, 'bus' | 'signal'>;

export function allTokens({ bus, signal }: Means): Promise<Token[]> {
  return all(500, async (page) => {
    const { tokens, more } = await bus.call(listTokens, page, { signal });
    return [tokens, more];
  });
}

export function allScopeMaps({ bus, signal }: Means): Promise<ScopeMap[]> {
  return all(20, async (page) => {
    const { scopeMaps, more } = await bus.call(listScopeMaps, page, { signal });
    return [scopeMaps, more];
  });
}

/** The instances that are activated. */
export function allActivated({ bus, signal }: Means): Promise<Child[]> {
  return all(500, async (page) => {
    const { children, more } = await bus.call(listChildren, page, { signal });
    return [children, more];
  });
}

async function all<T extends { name: string }>(
  limit: number,
  ask: (page: { after?: string; limit: number }) => Promise<[found: T[], more: boolean]>,
): Promise<T[]> {
  const found: T[] = [];
  for (let more = true; more; ) {
    const after = found.at(-1)?.name;
    const [some, others] = await ask({ limit, ...(after !== undefined && { after }) });
    for (const one of some) found.push(one);
    more = others;
  }
  return found;
}
