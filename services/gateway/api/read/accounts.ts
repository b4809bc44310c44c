import { listScopeMaps, listTokens, type ScopeMap, type Token } from '#proto/accounts/accounts.ts';
import { type Child, listChildren } from '#proto/accounts/children.ts';
import { Accounts } from '#proto/api/accounts.ts';
import type { Static } from '#proto/contract/schema.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';

/** Max entries of each kind in the answer. */
const MAX_ENTRIES = 1_000;
/** Max calls to storage for each kind: scope maps come 20 at a time. */
const MAX_CALLS = 20;

/** Tokens, scope maps and active children. Storage never answers a password, or its hash, to these requests. */
export function accountsOperation({ bus, times }: Gateway): Operation {
  const patience = { patience: times.patienceMs };
  return operation({
    method: 'GET',
    path: '/accounts',
    needs: 'operate/read',
    summary: 'Tokens, scope maps and active children, without secrets.',
    answers: { 200: Accounts },
    handler: async (): Promise<Static<typeof Accounts>> => {
      const [tokens, scopeMaps, children] = await Promise.all([
        all<Token>(async (page) => {
          const { tokens: items, more } = await bus.call(listTokens, { ...page, limit: 500 }, patience);
          return { items, more };
        }),
        all<ScopeMap>(async (page) => {
          const { scopeMaps: items, more } = await bus.call(listScopeMaps, { ...page, limit: 20 }, patience);
          return { items, more };
        }),
        all<Child>(async (page) => {
          const { children: items, more } = await bus.call(listChildren, { ...page, limit: 500 }, patience);
          return { items, more };
        }),
      ]);
      return {
        tokens: tokens.items,
        scopeMaps: scopeMaps.items,
        children: children.items,
        more: tokens.more || scopeMaps.more || children.more,
      };
    },
  });
}

async function all<T extends { name: string }>(
  read: (page: { after?: string }) => Promise<{ items: T[]; more: boolean }>,
): Promise<{ items: T[]; more: boolean }> {
  const items: T[] = [];
  for (let calls = 0; calls < MAX_CALLS && items.length < MAX_ENTRIES; calls += 1) {
    const after = items.at(-1)?.name;
    const page = await read(after === undefined ? {} : { after });
    for (const item of page.items) items.push(item);
    if (!page.more || page.items.length === 0) return { items: items.slice(0, MAX_ENTRIES), more: false };
  }
  return { items: items.slice(0, MAX_ENTRIES), more: true };
}
