import type { Static } from '@sinclair/typebox';
import type { changeToken, createToken, putScopeMap, rotateToken } from '#proto/accounts/accounts.ts';
import { clip } from '#proto/contract/clip.ts';
import type { AuditEntry } from '#proto/status/audit.ts';
import { kinds, prefix } from '../metadata/keys.ts';
import type { Change } from '../metadata/metadata.ts';

/** Details of audit entries about accounts. They never contain a password or a hash. */

type Detail = NonNullable<AuditEntry['detail']>;

/** Max actions, and max names, in one entry; if there are more, `<field>InAll` has their number. */
const MAX_LISTED = 50;

export const createdToken = (query: Static<typeof createToken.query>): Detail => ({
  ...(query.scopeMap !== undefined && { scopeMap: query.scopeMap }),
  ...(query.actions && listed('actions', query.actions)),
  ...expiry(query),
});

export const rotatedToken = (query: Static<typeof rotateToken.query>): Detail => ({
  password: query.password,
  ...expiry(query),
});

export const changedToken = ({
  enabled,
  scopeMap,
  dropPassword,
}: Static<typeof changeToken.query>): Detail => ({
  ...(enabled !== undefined && { enabled }),
  ...(scopeMap !== undefined && { scopeMap }),
  ...(dropPassword !== undefined && { dropPassword }),
});

export const changedScopeMap = ({ actions }: Static<typeof putScopeMap.query>): Detail =>
  listed('actions', actions);

/** Tokens and scope maps that a batch writes and deletes. */
export function declarationFacts(changes: readonly Change[]): Detail {
  const named = (type: Change['type'], prefix: string) =>
    changes
      .filter((change) => change.type === type && change.key.startsWith(prefix))
      .map(({ key }) => key.slice(prefix.length));
  return {
    ...listed('tokens', named('put', prefix(kinds.token))),
    ...listed('scopeMaps', named('put', prefix(kinds.scopeMap))),
    ...listed('deletedTokens', named('del', prefix(kinds.token))),
    ...listed('deletedScopeMaps', named('del', prefix(kinds.scopeMap))),
  };
}

function listed(field: string, all: string[]): Detail {
  if (all.length === 0) return {};
  const some = all.slice(0, MAX_LISTED).map((one) => clip(one, 400));
  return { [field]: some, ...(all.length > MAX_LISTED && { [`${field}InAll`]: all.length }) };
}

const expiry = ({ expires }: { expires?: number }): Detail =>
  expires === undefined ? {} : { expires: new Date(expires).toISOString() };
