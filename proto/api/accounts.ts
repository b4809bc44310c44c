import { ScopeMap, Token } from '../accounts/accounts.ts';
import { Child } from '../accounts/children.ts';
import { described } from '../contract/contract.ts';
import { type Static, Type } from '../contract/schema.ts';

/** Accounts, without secrets. */

export const Accounts = Type.Object(
  {
    tokens: Type.Array(described(Token, 'A token, without its passwords.'), {
      maxItems: 1_000,
      description: 'In bytewise order.',
    }),
    scopeMaps: Type.Array(described(ScopeMap, 'A scope map.'), {
      maxItems: 1_000,
      description: 'In bytewise order.',
    }),
    children: Type.Array(described(Child, 'An active child.'), {
      maxItems: 1_000,
      description: 'In bytewise order.',
    }),
    more: Type.Boolean({ description: 'There are more of some kind than the answer has.' }),
  },
  { description: 'Tokens, scope maps and active children.' },
);
export type Accounts = Static<typeof Accounts>;
