import { Fault } from '#proto/contract/fault.ts';
import { type Answer, firstValue } from '../answers/bodies.ts';

/** How a redirect is handled. Only content is fetched from other hosts than the parent. Pure. */
export type Redirects = 'refuse' | 'follow' | 'return';

/** Max redirects that are followed for one request. */
export const MAX_HOPS = 5;
const STATUSES = [301, 302, 303, 307, 308];

/** The target of a redirect; undefined if the answer is not one. @throws Fault `parent-invalid` */
export function target({ statusCode, headers, from }: Answer): URL | undefined {
  const location = firstValue(headers.location);
  if (!STATUSES.includes(statusCode) || !location) return undefined;
  const next = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (next && /^https?:$/.test(next.protocol)) return next;
  throw new Fault('parent-invalid', 'the parent redirects to an address that is not HTTP or HTTPS');
}

/**
 * Whether a request that changes nothing is redirected within the API of the same host, or to the path from which the
 * host serves its manifests: not to its login page.
 */
export const isWithin = (to: URL, from: URL, method: string): boolean =>
  (method === 'GET' || method === 'HEAD') &&
  to.origin === from.origin &&
  /\/(v2|manifests)\//.test(to.pathname);

/** @throws Fault `parent-invalid` if a request by TLS would continue without TLS */
export function assertTlsKept(from: URL, to: URL): void {
  if (from.protocol !== 'https:' || to.protocol === 'https:') return;
  throw new Fault('parent-invalid', `the parent redirects to ${to.host} without TLS`);
}

/** The Fault for a redirect of a request other than for a blob. `what` names the request. */
export const notFollowed = (what: string, to: URL): Fault =>
  new Fault(
    'parent-invalid',
    `${what}: the parent redirects to ${to.origin}, but only blobs are fetched from another host: if the registry is there, set parent.url to it`,
    { detail: { hasRemedy: true } },
  );
