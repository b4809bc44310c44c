import { described, event, request } from '../contract/contract.ts';
import { After, Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/**
 * Accounts: who may use the registry. A token has a name, one scope map that lists what it may do (scopes.ts), and up
 * to two passwords, so that one can be replaced while the other is in use. An operator creates, rotates, changes and
 * deletes it by requests, or declares it in the configuration document, and changes it only there. The gateway reads a
 * token when a client logs in (`getAccount`), and reads it again after `accountsChanged`. Storage stores passwords as
 * scrypt hashes only (password-hash.ts); a new password is returned once, in the answer to the request that created it.
 *
 * A child logs in with a token of its own name; which instance of it is active: children.ts. permission-words.ts has
 * words for several actions, such as `pull`.
 */
export const TokenName = Type.String({
  pattern: '^[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$',
  maxLength: 64,
});
/** Names of system scope maps, which every layer has, begin with `_`. */
export const ScopeMapName = Type.String({
  pattern: '^_?[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$',
  maxLength: 65,
});
/** Who is responsible for an action: a token, or `_` and the user of the bus that acts on its own. */
export const AccountName = Type.String({
  pattern: '^_?[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$',
  maxLength: 65,
});
export const PasswordName = Type.Union([Type.Literal('password1'), Type.Literal('password2')]);
export type PasswordName = Static<typeof PasswordName>;

/** Actions of one scope map, 500 at most (Azure Container Registry: 500 repository permissions). */
const Actions = Type.Array(Type.String({ maxLength: 400 }), { minItems: 1, maxItems: 500 });
/** Actions as stored: a declared account may have more than 500, as each of its patterns has several. */
export const StoredActions = Type.Array(Type.String({ maxLength: 400 }), { maxItems: 2_500 });
/** Max passwords per token: one can be replaced while the other is in use. */
export const MAX_PASSWORDS = 2;

export const Token = Type.Object({
  name: TokenName,
  enabled: Type.Boolean(),
  scopeMap: ScopeMapName,
  created: Instant,
  /** It is declared in the configuration document, and changed only there. */
  declared: Type.Optional(Type.Boolean()),
  passwords: Type.Array(
    Type.Object({ name: PasswordName, created: Instant, expires: Type.Optional(Instant) }),
    { maxItems: MAX_PASSWORDS },
  ),
});
export type Token = Static<typeof Token>;

/**
 * The unused password, to be replaced next: a missing one, else an expired one, else the older one, so that clients
 * with the newer one continue.
 * @param now in ms
 */
export function passwordToRotate({ passwords }: Token, now: number): PasswordName {
  for (const name of ['password1', 'password2'] as const) {
    if (!passwords.some((password) => password.name === name)) return name;
  }
  const expired = passwords.find(({ expires }) => expires !== undefined && expires <= now);
  const [oldest] = [...passwords].sort((a, b) => a.created - b.created);
  return (expired ?? oldest)?.name ?? 'password1';
}

export const ScopeMap = Type.Object({
  name: ScopeMapName,
  description: Type.Optional(Type.String({ maxLength: 500 })),
  actions: StoredActions,
  /** Every layer has it, and nobody can change it. */
  system: Type.Boolean(),
  /** It belongs to an account that is declared in the configuration document. */
  declared: Type.Optional(Type.Boolean()),
});
export type ScopeMap = Static<typeof ScopeMap>;

const Named = Type.Object({ name: TokenName });
const Page = Type.Object({
  after: Type.Optional(After),
  limit: Type.Integer({ minimum: 1, maximum: 500 }),
});

/** No other message and no record contains the password. */
const WithPassword = Type.Object({
  token: Token,
  name: PasswordName,
  password: Type.String({ maxLength: 256 }),
});

/**
 * Creates a token with a `password1`, and either an existing scope map or `actions`: these create a scope map of the
 * token's own name, in the same batch. Faults: `exists`, `malformed` (an action), `conflict` (the scope map does not
 * exist, or one of the token's name exists), `denied` (the max number is reached).
 */
export const createToken = request(
  'storage.token.create',
  Type.Object({
    name: TokenName,
    scopeMap: Type.Optional(ScopeMapName),
    actions: Type.Optional(Actions),
    expires: Type.Optional(Instant),
  }),
  WithPassword,
);

/** Replaces a password: the old one of that name ends at once. Faults: `account-unknown`, `denied` (declared). */
export const rotateToken = request(
  'storage.token.rotate',
  Type.Object({ name: TokenName, password: PasswordName, expires: Type.Optional(Instant) }),
  WithPassword,
);

/**
 * Enables or disables a token, gives it another scope map, or drops a password before it expires.
 * Faults: `account-unknown`, `conflict`, `denied` (declared).
 */
export const changeToken = request(
  'storage.token.change',
  Type.Object({
    name: TokenName,
    enabled: Type.Optional(Type.Boolean()),
    scopeMap: Type.Optional(ScopeMapName),
    dropPassword: Type.Optional(PasswordName),
  }),
  Token,
);

/**
 * Deletes a token, and the scope map that was created with it unless another token has that.
 * Faults: `account-unknown`, `denied` (declared).
 */
export const deleteToken = request('storage.token.delete', Named, Type.Object({}));

/** Faults: `account-unknown`. */
export const showToken = request('storage.token.get', Named, Token);

/** In bytewise order. */
export const listTokens = request(
  'storage.token.list',
  Page,
  Type.Object({ tokens: Type.Array(Token, { maxItems: 500 }), more: Type.Boolean() }),
);

/**
 * Creates a scope map, or replaces its actions, and its description if one is given.
 * Faults: `malformed`, `denied` (a system one, a declared one, or the max number is reached).
 */
export const putScopeMap = request(
  'storage.scope.put',
  Type.Object({
    name: ScopeMapName,
    description: Type.Optional(Type.String({ maxLength: 500 })),
    actions: Actions,
  }),
  ScopeMap,
);

/** Faults: `account-unknown`. */
export const showScopeMap = request('storage.scope.get', Type.Object({ name: ScopeMapName }), ScopeMap);

/** Faults: `account-unknown`, `denied` (system or declared), `conflict` (a token has it; the message says which). */
export const deleteScopeMap = request(
  'storage.scope.delete',
  Type.Object({ name: ScopeMapName }),
  Type.Object({}),
);

/** In bytewise order, system scope maps included. Scope maps may be long: a page may end before its limit. */
export const listScopeMaps = request(
  'storage.scope.list',
  Type.Object({ after: Type.Optional(After), limit: Type.Integer({ minimum: 1, maximum: 20 }) }),
  Type.Object({ scopeMaps: Type.Array(ScopeMap, { maxItems: 20 }), more: Type.Boolean() }),
);

/** Data by which the gateway authenticates and authorizes a client. */
export const Account = Type.Object({
  name: TokenName,
  enabled: Type.Boolean(),
  actions: StoredActions,
  passwords: Type.Array(
    Type.Object({
      name: PasswordName,
      /** `scrypt$<log2 N>$<r>$<p>$<salt, base64url>$<hash, base64url>` (RFC 7914) */
      hash: Type.String({ maxLength: 512 }),
      expires: Type.Optional(Instant),
    }),
    { maxItems: MAX_PASSWORDS },
  ),
});
export type Account = Static<typeof Account>;

/** `account` is absent if none has this name. */
export const getAccount = request(
  'storage.account.get',
  Type.Object({ name: Type.String({ maxLength: 256 }) }),
  Type.Object({ account: Type.Optional(Account) }),
);

/** Number of tokens, and the key that signs the Bearer tokens of this layer (base64url, 256 bits). */
export const accountsStatus = request(
  'storage.account.status',
  Type.Object({}),
  Type.Object({ tokens: Count, key: Type.String({ maxLength: 128 }) }),
);

/** A token or a scope map was created, changed or deleted: caches of them are invalid. */
export const accountsChanged = event(
  'account.changed',
  Type.Object({ account: Type.Optional(described(AccountName, 'Who changed it.')) }),
  { immediate: true },
);
