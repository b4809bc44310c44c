/** Remedies for the fields of `tokens` and `children`, and the rule that keeps passwords out of complaints. */

const PASSWORDS =
  'write a list of one or two hashes, as "terrace token hash" prints them, or of mappings with the field hash or secretFile';
const PATTERNS = 'write a repository name, prefix/* or *, or a list of them';
const EXPIRES = 'write a date in quotes, such as "2027-01-31" or "2027-01-31T12:00:00Z"';

const passwords = {
  passwords: PASSWORDS,
  'passwords.hash': 'write the line that "terrace token hash" prints',
  'passwords.secretFile': 'write the path of a file that holds the password',
  'passwords.expires': EXPIRES,
};

const prefixed = (owner: string, fields: Record<string, string>) =>
  Object.fromEntries(Object.entries(fields).map(([field, remedy]) => [`${owner}.${field}`, remedy]));

export const declaredRemedies: Record<string, string> = {
  tokens: 'write a list of mappings with the fields name, passwords, and pull, push, delete or scopeMap',
  ...prefixed('tokens', {
    name: 'use letters, digits and . _ - between them, 64 characters at most',
    enabled: 'write true or false',
    scopeMap: 'write the name of a scope map, such as _repositories_pull',
    actions: 'write a list of actions, such as repositories/line/*/content/read',
    pull: PATTERNS,
    push: PATTERNS,
    delete: PATTERNS,
    ...passwords,
  }),
  children: 'write a list of mappings with the fields name, repositories, mode and passwords',
  ...prefixed('children', {
    name: 'use lower-case letters, digits and - between them, 63 characters at most',
    enabled: 'write true or false',
    mode: 'write ReadOnly or ReadWrite',
    repositories: PATTERNS,
    ...passwords,
  }),
};

const PLAIN =
  'a password never stands in a document: write passwords: [{ secretFile: <the path of a mounted secret> }], or [{ hash: <the line that "terrace token hash" prints> }]';

/** Remedies for fields that do not exist, but that people write out of habit. */
export const misplaced: Record<string, string> = {
  'tokens.password': PLAIN,
  'tokens.passwords.password': PLAIN,
  'children.password': PLAIN,
  'children.passwords.password': PLAIN,
  'parent.password':
    'a password never stands in a document: write passwordFile with the path of a file that holds it',
};

/** Whether the value of the field may contain a password or a hash, and must not be quoted. */
export function isSecret(field: string, value: unknown): boolean {
  if (/(?:^|\.)(?:password|hash)$/.test(field)) return true;
  if (!/^(?:tokens|children)(?:\.|$)/.test(field)) return false;
  return typeof value === 'object' || /(?:^|\.)(?:tokens|children|passwords)(?:\.\d+)?$/.test(field);
}
