import { parseJson } from '#proto/contract/bounded-json.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Granted } from './credentials.ts';
import { lifeOf } from './token-life.ts';

/** What a token service answers (distribution's token authentication specification; OAuth 2.0, RFC 6749). Pure. */

/** Longest token that is taken: it goes into a header, and one for each repository is kept. */
const MAX_TOKEN = 32 * 1024;
/** One that says to live longer is renewed after so long all the same, in seconds. */
const MAX_LIFE_S = 24 * 60 * 60;

/** The fields of an answer. @throws Fault `parent-invalid` */
export function fieldsOf(body: Uint8Array, what: string): Record<string, unknown> {
  try {
    const fields = parseJson(body);
    if (typeof fields === 'object' && fields !== null) return fields as Record<string, unknown>;
  } catch (cause) {
    throw new Fault('parent-invalid', `${what}: the answer is no JSON`, { cause });
  }
  throw new Fault('parent-invalid', `${what}: the answer is no JSON object`);
}

/** @throws Fault `parent-invalid` */
export function tokenIn(value: unknown, what: string): string {
  if (typeof value === 'string' && value.length <= MAX_TOKEN && /^[\x21-\x7e]+$/.test(value)) return value;
  throw new Fault('parent-invalid', `${what}: no token in the answer`);
}

/** @throws Fault `parent-invalid` */
export function grantedIn(body: Uint8Array, what: string, now: number): Granted {
  const { token, access_token, expires_in } = fieldsOf(body, what);
  const found = tokenIn(token ?? access_token, what);
  const life = typeof expires_in === 'number' ? expires_in : lifeOf(found, now);
  return { token: found, expiresIn: life === undefined ? undefined : Math.min(life, MAX_LIFE_S) };
}
