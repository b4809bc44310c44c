import { type Static, Type } from '@sinclair/typebox';
import { event, request } from '../contract/contract.ts';
import { After, Count, Instant } from '../oci/names.ts';

/**
 * Who may use the registry. A token has a name, one scope map that says what it may do, and up to two passwords, so
 * that one can be replaced while the other is in use. Storage keeps passwords as scrypt hashes only; a new password is
 * told once, in the answer to the request that made it.
 */
export const TokenName = Type.String({
  pattern: '^[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$',
  maxLength: 64,
});
/** `_` begins the names of those that every layer has. */
export const ScopeMapName = Type.String({
  pattern: '^_?[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$',
  maxLength: 65,
});
/** Who is responsible for something: a token, or `_` and the user of the bus that acts by itself. */
export const AccountName = Type.String({
  pattern: '^_?[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$',
  maxLength: 65,
});
export const PasswordName = Type.Union([Type.Literal('password1'), Type.Literal('password2')]);
export type PasswordName = Static<typeof PasswordName>;

/** As many as one scope map may have (Azure Container Registry: 500 repository permissions). */
const Actions = Type.Array(Type.String({ maxLength: 400 }), { minItems: 1, maxItems: 500 });
/** As they are kept: a declared account may have more, as its patterns stand for several each. */
export const KeptActions = Type.Array(Type.String({ maxLength: 400 }), { maxItems: 2_500 });
/** One may be replaced while the other is in use. */
export const MAX_PASSWORDS = 2;

export const Token = Type.Object({
  name: TokenName,
  enabled: Type.Boolean(),
  scopeMap: ScopeMapName,
  created: Instant,
  /** It stands in the configuration document, and is changed there. */
  declared: Type.Optional(Type.Boolean()),
  passwords: Type.Array(
    Type.Object({ name: PasswordName, created: Instant, expires: Type.Optional(Instant) }),
    { maxItems: MAX_PASSWORDS },
  ),
});
export type Token = Static<typeof Token>;

/**
 * The password that nobody uses, to be made anew: one that is not there, else one that has ended, else the older;
 * so whoever has the newer one goes on.
 */
export function passwordToRotate({ passwords }: Token, now: number): PasswordName {
  for (const name of ['password1', 'password2'] as const) {
    if (!passwords.some((password) => password.name === name)) return name;
  }
  const ended = passwords.find(({ expires }) => expires !== undefined && expires <= now);
  const [oldest] = [...passwords].sort((a, b) => a.created - b.created);
  return (ended ?? oldest)?.name ?? 'password1';
}

export const ScopeMap = Type.Object({
  name: ScopeMapName,
  description: Type.Optional(Type.String({ maxLength: 500 })),
  actions: KeptActions,
  /** Every layer has it, and it can't be changed. */
  system: Type.Boolean(),
  /** It is that of an account that stands in the configuration document. */
  declared: Type.Optional(Type.Boolean()),
});
export type ScopeMap = Static<typeof ScopeMap>;

const Named = Type.Object({ name: TokenName });
const Page = Type.Object({
  after: Type.Optional(After),
  limit: Type.Integer({ minimum: 1, maximum: 500 }),
});

/** The password is in no other message and in no record. */
const WithPassword = Type.Object({
  token: Token,
  name: PasswordName,
  password: Type.String({ maxLength: 256 }),
});

/**
 * Makes a token with a `password1`, and either a scope map that is there or `actions`: then a scope map of the token's
 * own name is made for it, in the same batch. Faults: `exists`, `malformed` (an action), `conflict` (no such scope map, or one of that name is there),
 * `denied` (as many as there may be).
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

/** Makes the password anew: the old one of that name ends at once. Faults: `account-unknown`, `denied` (declared). */
export const rotateToken = request(
  'storage.token.rotate',
  Type.Object({ name: TokenName, password: PasswordName, expires: Type.Optional(Instant) }),
  WithPassword,
);

/** Enabled or disabled, another scope map, a password ended early. Faults: `account-unknown`, `conflict`, `denied` (declared). */
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

/** Faults: `account-unknown`, `denied` (declared). The scope map that was made with it goes with it where no other token has it. */
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
 * Makes a scope map, or replaces its actions, and its description where one is given.
 * Faults: `malformed`, `denied` (one of the layer's own, a declared one, or as many as there may be).
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

/** Faults: `account-unknown`, `denied` (one of the layer's own), `conflict` (a token has it; the message says which). */
export const deleteScopeMap = request(
  'storage.scope.delete',
  Type.Object({ name: ScopeMapName }),
  Type.Object({}),
);

/** In bytewise order, those of every layer among them. Each may be long: a page may end before its limit. */
export const listScopeMaps = request(
  'storage.scope.list',
  Type.Object({ after: Type.Optional(After), limit: Type.Integer({ minimum: 1, maximum: 20 }) }),
  Type.Object({ scopeMaps: Type.Array(ScopeMap, { maxItems: 20 }), more: Type.Boolean() }),
);

/** What the gateway needs to let a client in. */
export const Account = Type.Object({
  name: TokenName,
  enabled: Type.Boolean(),
  actions: KeptActions,
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

/** `account` is absent where there is none of that name. */
export const getAccount = request(
  'storage.account.get',
  Type.Object({ name: Type.String({ maxLength: 256 }) }),
  Type.Object({ account: Type.Optional(Account) }),
);

/** How many tokens there are, and the key that Bearer tokens of this layer are signed with (base64url, 256 bits). */
export const accountsStatus = request(
  'storage.account.status',
  Type.Object({}),
  Type.Object({ tokens: Count, key: Type.String({ maxLength: 128 }) }),
);

/** A token or a scope map was made, changed or deleted: whoever remembers one asks again. */
export const accountsChanged = event(
  'account.changed',
  Type.Object({ account: Type.Optional(AccountName) }),
  { atOnce: true },
);
