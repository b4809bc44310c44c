import { parseJson } from '#proto/contract/bounded-json.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Granted } from './credentials.ts';
import { lifeOf } from './token-life.ts';

/** Parses answers of token services (distribution's token authentication specification; OAuth 2.0, RFC 6749). Pure. */

/** Max length of a token, in characters: it is sent in a header, and one for each repository is cached. */
const MAX_TOKEN = 32 * 1024;
/** Max lifetime of a token, in seconds. One that states a longer life is renewed after this time. */
const MAX_LIFE_S = 24 * 60 * 60;

/** The fields of a JSON answer. @throws Fault `parent-invalid` */
export function jsonFields(body: Uint8Array, what: string): Record<string, unknown> {
  try {
    const fields = parseJson(body);
    if (typeof fields === 'object' && fields !== null) return fields as Record<string, unknown>;
  } catch (cause) {
    throw new Fault('parent-invalid', `${what}: the answer is not JSON`, { cause });
  }
  throw new Fault('parent-invalid', `${what}: the answer is not a JSON object`);
}

/** Checks a token: printable ASCII, with a bounded length. @throws Fault `parent-invalid` */
export function tokenIn(value: unknown, what: string): string {
  if (typeof value === 'string' && value.length <= MAX_TOKEN && /^[\x21-\x7e]+$/.test(value)) return value;
  throw new Fault('parent-invalid', `${what}: no token in the answer`);
}

/**
 * The token of an answer, and its lifetime: what the answer states, or else the token itself.
 * @param now in ms since 1970
 * @throws Fault `parent-invalid`
 */
export function grantedIn(body: Uint8Array, what: string, now: number): Granted {
  const { token, access_token, expires_in } = jsonFields(body, what);
  const checked = tokenIn(token || access_token, what);
  const life = secondsIn(expires_in) ?? lifeOf(checked, now);
  return { token: checked, expiresIn: life === undefined ? undefined : Math.min(life, MAX_LIFE_S) };
}

/** A lifetime in seconds, also as text; undefined if it is none. */
function secondsIn(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  return typeof seconds === 'number' && seconds > 0 ? seconds : undefined;
}
