import type { FastifyRequest } from 'fastify';
import { REQUEST_HEADER } from '#proto/api/session.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isOriginOf } from '../../http/origin-host.ts';

/**
 * Changes by a browser come from a page of this layer only: a browser also adds a session cookie, or a password that it
 * knows, to requests that pages of other sites cause. A browser says where a request comes from in `Sec-Fetch-Site` and
 * `Origin`, and no page can change these; other clients send neither. With a cookie, the header `X-Terrace-Request` is
 * needed as well: an old browser that sends neither needs the permission of this layer to send it, and gets none.
 * @throws Fault `denied`
 */
export function checkSameOrigin({ headers, host: forwarded }: FastifyRequest): void {
  const { origin, host = '' } = headers;
  const site = headers['sec-fetch-site'];
  const isForeign = origin !== undefined && !isOriginOf(origin, [host, forwarded]);
  if (isForeign || (site !== undefined && site !== 'same-origin')) {
    throw new Fault('denied', 'a page of another site sent this change: make it on a page of this layer');
  }
  if (
    headers.cookie !== undefined &&
    headers.authorization === undefined &&
    headers[REQUEST_HEADER] !== '1'
  ) {
    throw new Fault(
      'denied',
      'a change with a session cookie needs the header X-Terrace-Request: send it as 1',
    );
  }
}
