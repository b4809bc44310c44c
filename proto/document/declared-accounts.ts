import { ScopeMapName, StoredActions, TokenName } from '../accounts/accounts.ts';
import { ChildName } from '../accounts/children.ts';
import { HASH_PATTERN } from '../accounts/password-hash.ts';
import { request } from '../contract/contract.ts';
import { FilePath, Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { MAX_COMPLAINTS } from './complaints.ts';
import { field, optional } from './fields.ts';

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
export const DeclaredPassword = Type.Union([
  Hash,
  Type.Object(
    {
      hash: optional(
        Hash,
        'Hash of the password, instead of `secretFile`.',
        'write the line that "terrace token hash" prints',
      ),
      secretFile: optional(
        Type.String({ minLength: 1, maxLength: 1024 }),
        'File that holds the password, instead of `hash`. Read again when it changes.',
        'write the path of a file that holds the password',
      ),
      expires: optional(
        Expires,
        'When the password expires; a date alone means 00:00 UTC.',
        'write a date in quotes, such as "2027-01-31" or "2027-01-31T12:00:00Z"',
        { otherwise: 'never' },
      ),
    },
    { additionalProperties: false },
  ),
]);
export type DeclaredPassword = Static<typeof DeclaredPassword>;

const Passwords = field(
  Type.Array(DeclaredPassword, { minItems: 1, maxItems: 2 }),
  'One or two passwords, so that one can be replaced while the other is in use.',
  'write a list of one or two hashes, as "terrace token hash" prints them, or of mappings with the field hash or secretFile',
);
const Patterns = Type.Union([
  RepositoryPattern,
  Type.Array(RepositoryPattern, { minItems: 1, maxItems: 100 }),
]);
const PATTERNS = 'write a repository name, prefix/* or *, or a list of them';
const enabled = optional(Type.Boolean(), 'Whether it may log in.', 'write true or false', { default: true });

/** Its rights are `scopeMap` alone, or the sum of `actions`, `pull`, `push`, `delete` and `operate`. */
export const DeclaredToken = Type.Object(
  {
    name: field(
      TokenName,
      "Name of the token, for the login. A token and a child can't have the same name.",
      'use letters, digits and . _ - between them, 64 characters at most',
    ),
    enabled,
    scopeMap: optional(
      ScopeMapName,
      'Scope map with its rights, instead of the five fields below.',
      'write the name of a scope map, such as _repositories_pull',
    ),
    actions: optional(
      Type.Array(Type.String({ maxLength: 400 }), { minItems: 1, maxItems: 500 }),
      'Its rights, as actions of a scope map.',
      'write a list of actions, such as repositories/line/*/content/read',
    ),
    pull: optional(Patterns, 'Repositories from which it may pull.', PATTERNS),
    push: optional(Patterns, 'Repositories from which it may pull, and to which it may push.', PATTERNS),
    delete: optional(Patterns, 'Repositories from which it may delete.', PATTERNS),
    operate: optional(
      Type.Union([Type.Literal('read'), Type.Literal('write')]),
      'What it may do as an operator: see everything of the layer (`read`), or act on it, too (`write`).',
      'write read or write',
      { otherwise: 'nothing' },
    ),
    passwords: Passwords,
  },
  { additionalProperties: false },
);
export type DeclaredToken = Static<typeof DeclaredToken>;

export const DeclaredChild = Type.Object(
  {
    name: field(
      ChildName,
      'Name of the layer below, and of its token.',
      'use lower-case letters, digits and - between them, 63 characters at most',
    ),
    enabled,
    mode: optional(
      Type.Union(['ReadWrite', 'ReadOnly', 'Registry', 'Mirror'].map((mode) => Type.Literal(mode))),
      'Whether it may push. `ReadWrite` only in a layer that is ReadWrite itself.',
      'write ReadOnly or ReadWrite',
      { default: 'ReadOnly' },
    ),
    repositories: field(Patterns, 'Repositories that it may synchronize.', PATTERNS),
    passwords: Passwords,
  },
  { additionalProperties: false },
);
export type DeclaredChild = Static<typeof DeclaredChild>;

/** Fields `tokens` and `children` of a document. */
export const accountFields = {
  tokens: optional(
    Type.Array(DeclaredToken, { maxItems: 500 }),
    'Accounts of clients. Storage applies them as declared, and does not change accounts that an operator created.',
    'write a list of mappings with the fields name, passwords, and pull, push, delete, operate or scopeMap',
    { otherwise: 'none' },
  ),
  children: optional(
    Type.Array(DeclaredChild, { maxItems: 200 }),
    'Accounts of the layers below.',
    'write a list of mappings with the fields name, repositories, mode and passwords',
    { otherwise: 'none' },
  ),
};

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
