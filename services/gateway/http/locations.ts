import type { FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { ofLast } from './last-text.ts';

/**
 * The only place that makes URLs for clients. URLs of content are relative to the requested host, as the
 * distribution-spec allows ("Pushing blobs", on Location), so they are valid behind any proxy that keeps the path.
 */
export const uploadUrl = (repository: string, id: string): string => `/v2/${repository}/blobs/uploads/${id}`;

export const blobUrl = (repository: string, digest: string): string => `/v2/${repository}/blobs/${digest}`;

export const manifestUrl = (repository: string, digest: string): string =>
  `/v2/${repository}/manifests/${digest}`;

/** The value of a Link header to the next page (RFC 8288). */
export const nextLink = (path: string, query: Record<string, string>): string =>
  `<${path}?${new URLSearchParams(query)}>; rel="next"`;

/** Absolute URL of the token endpoint: clients accept no relative one. @throws Fault `malformed` */
export function realmUrl(request: FastifyRequest): string {
  return `${protocolOf(request)}://${hostOf(request)}/v2/token`;
}

/** A name or address, with an optional port: nothing that ends a quoted string, a header or an authority. */
const HOST = /^(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/i;

/**
 * Host by which the client names this registry, in lower case: from a trusted proxy, else from the request. An HTTP/1.0
 * client that sends none gets the local address of its connection.
 * @throws Fault `malformed` if it is not a host
 */
export function hostOf(request: FastifyRequest): string {
  const { host } = request;
  if (host === '') {
    const { localAddress = '', localPort } = request.socket;
    return `${localAddress.includes(':') ? `[${localAddress}]` : localAddress}:${localPort}`;
  }
  return parseHost(host);
}

const parseHost = ofLast((host: string): string => {
  if (host.length > 260 || !HOST.test(host)) {
    throw new Fault(
      'malformed',
      'Host or X-Forwarded-Host is not valid: send a host name with an optional port',
    );
  }
  return host.toLowerCase();
});

/** Scheme by which the client reached this registry or the proxy in front of it. */
export function protocolOf(request: FastifyRequest): 'http' | 'https' {
  return request.protocol.toLowerCase() === 'https' ? 'https' : 'http';
}
