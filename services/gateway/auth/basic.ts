import type { LoginCredentials } from './password-login.ts';

/** Parses Basic credentials (RFC 7617). Text without a colon is a name without a password. */
export function basic(authorization: string | undefined): LoginCredentials | undefined {
  const [, encoded] = /^basic +([^ ]+) *$/i.exec(authorization ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0
    ? { name: text, password: '' }
    : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
