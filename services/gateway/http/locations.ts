import type { FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';

/**
 * The only place that makes URLs for clients. Those of content are relative to the host that the client asked, as the
 * distribution-spec allows ("Pushing blobs", on Location), so they hold behind any proxy that keeps the path.
 */
export const uploadUrl = (repository: string, id: string): string => `/v2/${repository}/blobs/uploads/${id}`;

export const blobUrl = (repository: string, digest: string): string => `/v2/${repository}/blobs/${digest}`;

export const manifestUrl = (repository: string, digest: string): string =>
  `/v2/${repository}/manifests/${digest}`;

/** The value of a `Link` header to the next page (RFC 8288). */
export const nextLink = (path: string, query: Record<string, string>): string =>
  `<${path}?${new URLSearchParams(query)}>; rel="next"`;

/** Where tokens are had. Clients take no relative URL for it. @throws Fault `malformed` */
export function realmUrl(request: FastifyRequest): string {
  return `${protocolOf(request)}://${hostOf(request)}/v2/token`;
}

/** A name or an address, and perhaps a port: nothing that ends a quoted string, a header or an authority. */
const HOST = /^(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/i;

/**
 * How the client names this registry, in lower case: as a trusted proxy says, else as it asked. A client of HTTP/1.0
 * that names nothing gets the address that it reached.
 * @throws Fault `malformed` where it is no host
 */
export function hostOf(request: FastifyRequest): string {
  const { host } = request;
  if (host === '') {
    const { localAddress = '', localPort } = request.socket;
    return `${localAddress.includes(':') ? `[${localAddress}]` : localAddress}:${localPort}`;
  }
  if (host.length > 260 || !HOST.test(host)) {
    throw new Fault('malformed', 'the Host of the request, or X-Forwarded-Host, is no host name and port');
  }
  return host.toLowerCase();
}

/** How the client reached this registry or the proxy before it. */
export function protocolOf(request: FastifyRequest): 'http' | 'https' {
  return request.protocol.toLowerCase() === 'https' ? 'https' : 'http';
}
