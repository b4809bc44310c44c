/** The rules that keep passwords out of a document and out of complaints. */

const PLAIN =
  'a document must not contain a password: write passwords: [{ secretFile: <the path of a mounted secret> }], or [{ hash: <the line that "terrace token hash" prints> }]';

/** Remedies for fields that do not exist, but that people write out of habit. */
export const misplaced: Record<string, string> = {
  'tokens.password': PLAIN,
  'tokens.passwords.password': PLAIN,
  'children.password': PLAIN,
  'children.passwords.password': PLAIN,
  'parent.password':
    'a document must not contain a password: write passwordFile with the path of a file that holds it',
};

/** Whether the value of the field may contain a password or a hash, and must not be quoted. */
export function isSecret(field: string, value: unknown): boolean {
  if (/(?:^|\.)(?:password|hash)$/.test(field)) return true;
  if (!/^(?:tokens|children)(?:\.|$)/.test(field)) return false;
  return typeof value === 'object' || /(?:^|\.)(?:tokens|children|passwords)(?:\.\d+)?$/.test(field);
}
