import { createHmac } from 'node:crypto';

/**
 * How Standard Webhooks signs (standardwebhooks.com, "Signature scheme"): HMAC-SHA256 over `id.timestamp.body`, as
 * `v1,<base64>`. Pure.
 */
export type Signed = { id: string; timestamp: number; body: string };

/**
 * @param secrets one a line; the receiver takes an event signed with any of them, so one can be replaced. One that
 * begins with `whsec_` goes on in base64, any other is taken as it is.
 * @returns the signatures, with a space between them; undefined where there is no secret
 */
export function signaturesOf(secrets: string, { id, timestamp, body }: Signed): string | undefined {
  const keys = secrets
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter(Boolean)
    .map(keyOf);
  const text = `${id}.${timestamp}.${body}`;
  const all = keys.map((key) => `v1,${createHmac('sha256', key).update(text).digest('base64')}`);
  return all.length > 0 ? all.join(' ') : undefined;
}

const PREFIX = 'whsec_';
const keyOf = (secret: string): Buffer =>
  secret.startsWith(PREFIX)
    ? Buffer.from(secret.slice(PREFIX.length), 'base64')
    : Buffer.from(secret, 'utf8');
