import { type Static, Type } from '@sinclair/typebox';
import { ScopeMapName, StoredActions, TokenName } from '../accounts/accounts.ts';
import { ChildName } from '../accounts/children.ts';
import { HASH_PATTERN } from '../accounts/password-hash.ts';
import { actionsOfChild, actionsOfWords } from '../accounts/permission-words.ts';
import { request } from '../contract/contract.ts';
import { FilePath, Instant, Reason } from '../oci/names.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { MAX_COMPLAINTS } from './complaints.ts';

/**
 * Accounts declared in the configuration document: tokens of clients, and layers below. The document contains their
 * passwords as scrypt hashes or as paths of mounted secrets, never in plain text.
 */

/** `2027-01-31` (its first instant, UTC) or `2027-01-31T12:00:00Z`. */
const Expires = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}(?:T\\d{2}:\\d{2}(?::\\d{2}(?:\\.\\d{1,3})?)?(?:Z|[+-]\\d{2}:\\d{2}))?$',
  maxLength: 32,
});
/** As `terrace token hash` prints it. */
const Hash = Type.String({ pattern: HASH_PATTERN, maxLength: 512 });

/** A hash alone, or a mapping with either `hash` or `secretFile`. */
const DeclaredPassword = Type.Union([
  Hash,
  Type.Object(
    {
      hash: Type.Optional(Hash),
      /** File that holds the password; read again when it changes. */
      secretFile: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })),
      expires: Type.Optional(Expires),
    },
    { additionalProperties: false },
  ),
]);
type DeclaredPassword = Static<typeof DeclaredPassword>;

const Passwords = Type.Array(DeclaredPassword, { minItems: 1, maxItems: 2 });
const Patterns = Type.Union([
  RepositoryPattern,
  Type.Array(RepositoryPattern, { minItems: 1, maxItems: 100 }),
]);

/** Its rights are `scopeMap` alone, or the sum of `actions`, `pull`, `push` and `delete`. */
export const DeclaredToken = Type.Object(
  {
    name: TokenName,
    enabled: Type.Optional(Type.Boolean()),
    scopeMap: Type.Optional(ScopeMapName),
    actions: Type.Optional(Type.Array(Type.String({ maxLength: 400 }), { minItems: 1, maxItems: 500 })),
    pull: Type.Optional(Patterns),
    push: Type.Optional(Patterns),
    delete: Type.Optional(Patterns),
    passwords: Passwords,
  },
  { additionalProperties: false },
);
export type DeclaredToken = Static<typeof DeclaredToken>;

export const DeclaredChild = Type.Object(
  {
    name: ChildName,
    enabled: Type.Optional(Type.Boolean()),
    mode: Type.Optional(
      Type.Union(['ReadWrite', 'ReadOnly', 'Registry', 'Mirror'].map((mode) => Type.Literal(mode))),
    ),
    repositories: Patterns,
    passwords: Passwords,
  },
  { additionalProperties: false },
);
export type DeclaredChild = Static<typeof DeclaredChild>;

/** An account as sent to storage: a child is a token with the rights of a child. */
export const DeclaredAccount = Type.Object({
  name: TokenName,
  enabled: Type.Boolean(),
  /** Either this, or `actions`. */
  scopeMap: Type.Optional(ScopeMapName),
  actions: Type.Optional(StoredActions),
  passwords: Type.Array(
    Type.Object({
      /** Either this, or `secretFile`, absolute. */
      hash: Type.Optional(Hash),
      secretFile: Type.Optional(FilePath),
      expires: Type.Optional(Instant),
    }),
    { maxItems: 2 },
  ),
});
export type DeclaredAccount = Static<typeof DeclaredAccount>;

/**
 * Replaces all accounts that the document declared before by these; accounts that an operator created stay as they are.
 * Each complaint is a sentence about an account that could not be applied; all others are applied.
 */
export const declareAccounts = request(
  'storage.account.declare',
  Type.Object({ accounts: Type.Array(DeclaredAccount, { maxItems: 700 }) }),
  Type.Object({ complaints: Type.Array(Reason, { maxItems: MAX_COMPLAINTS }) }),
);

type Declaring = { tokens?: DeclaredToken[]; children?: DeclaredChild[] };

/** Accounts of a document, as sent to storage. The paths of secret files in it must be absolute. */
export function declaredAccounts({ tokens = [], children = [] }: Declaring): DeclaredAccount[] {
  return [
    ...tokens.map((token) => ({
      name: token.name,
      enabled: token.enabled ?? true,
      ...(token.scopeMap !== undefined ? { scopeMap: token.scopeMap } : { actions: actionsOfToken(token) }),
      passwords: token.passwords.map(passwordOf),
    })),
    ...children.map(({ name, enabled = true, mode, repositories, passwords }) => ({
      name,
      enabled,
      actions: actionsOfChild(name, writes(mode) ? 'ReadWrite' : 'ReadOnly', listOf(repositories)),
      passwords: passwords.map(passwordOf),
    })),
  ];
}

export function actionsOfToken({ actions = [], pull, push, delete: remove }: DeclaredToken): string[] {
  const words = { pull: some(pull), push: some(push), delete: some(remove) };
  return [...new Set([...actions, ...actionsOfWords(words)])];
}

export const writes = (mode: string | undefined): boolean => mode === 'ReadWrite' || mode === 'Registry';

const some = (patterns: string | string[] | undefined): string[] =>
  patterns === undefined ? [] : listOf(patterns);
const listOf = (patterns: string | string[]): string[] =>
  typeof patterns === 'string' ? [patterns] : patterns;

function passwordOf(password: DeclaredPassword): DeclaredAccount['passwords'][number] {
  if (typeof password === 'string') return { hash: password };
  const { hash, secretFile, expires } = password;
  return {
    ...(hash !== undefined && { hash }),
    ...(secretFile !== undefined && {
      secretFile,
    }),
    ...(expires !== undefined && { expires: Date.parse(expires) }),
  };
}
