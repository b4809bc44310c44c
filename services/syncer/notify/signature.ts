import { createHmac } from 'node:crypto';

/**
 * Signed content of Standard Webhooks (standardwebhooks.com, "Signature scheme"): HMAC-SHA256 over
 * `id.timestamp.body`, written as `v1,<base64>`. `timestamp` is in seconds. Pure.
 */
export type Signed = { id: string; timestamp: number; body: string };

/**
 * @param secrets one per line; the receiver accepts an event signed with any of them, so that a secret can be rotated.
 * After the prefix `whsec_`, a secret is in base64; any other is used as it is.
 * @returns the signatures, separated by spaces; undefined without a secret
 */
export function signaturesOf(secrets: string, { id, timestamp, body }: Signed): string | undefined {
  const keys = secrets
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter(Boolean)
    .map(secretBytes);
  const text = `${id}.${timestamp}.${body}`;
  const all = keys.map((key) => `v1,${createHmac('sha256', key).update(text).digest('base64')}`);
  return all.length > 0 ? all.join(' ') : undefined;
}

const PREFIX = 'whsec_';
const secretBytes = (secret: string): Buffer =>
  secret.startsWith(PREFIX)
    ? Buffer.from(secret.slice(PREFIX.length), 'base64')
    : Buffer.from(secret, 'utf8');
