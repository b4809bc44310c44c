import type { FastifyRequest } from 'fastify';
import { hostOf, protocolOf } from '../http/locations.ts';

/**
 * The cookie of a session. No script reads it, no request that another site causes has it, and with TLS no connection
 * without TLS: the prefix `__Host-` says so to the browser (RFC 6265bis, 4.1.3.2), so that no other host of the domain
 * can set it either.
 */

const NAME = 'terrace-session';

/** Cookies do not belong to a port: layers of one host have names of their own. */
function nameOf(request: FastifyRequest): string {
  const [, port] = /:(\d+)$/.exec(hostOf(request)) ?? [];
  const name = port === undefined || port === '443' || port === '80' ? NAME : `${NAME}-${port}`;
  return protocolOf(request) === 'https' ? `__Host-${name}` : name;
}

/** The value of the cookie; undefined without one, and if there are several: one of them is not of this layer. */
export function sessionCookieOf(request: FastifyRequest): string | undefined {
  const { cookie } = request.headers;
  if (cookie === undefined) return undefined;
  const start = `${nameOf(request)}=`;
  const values = cookie
    .split(';')
    .map((one) => one.trim())
    .filter((one) => one.startsWith(start))
    .map((one) => one.slice(start.length));
  return values.length === 1 ? values[0] : undefined;
}

/** Value of `Set-Cookie`. @param maxAgeMs 0: the browser deletes it */
export function sessionCookie(request: FastifyRequest, value: string, maxAgeMs: number): string {
  const secure = protocolOf(request) === 'https' ? '; Secure' : '';
  const maxAge = Math.floor(maxAgeMs / 1_000);
  return `${nameOf(request)}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Strict${secure}`;
}
