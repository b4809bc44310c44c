import type { FastifyRequest } from 'fastify';

/**
 * The only place that makes URLs for clients. They are relative to the host that the client asked, so they hold
 * behind any proxy that keeps the path.
 */
function urlOf(_request: FastifyRequest, path: string): string {
  return path;
}

export const uploadUrl = (request: FastifyRequest, repository: string, id: string): string =>
  urlOf(request, `/v2/${repository}/blobs/uploads/${id}`);

export const blobUrl = (request: FastifyRequest, repository: string, digest: string): string =>
  urlOf(request, `/v2/${repository}/blobs/${digest}`);

export const manifestUrl = (request: FastifyRequest, repository: string, digest: string): string =>
  urlOf(request, `/v2/${repository}/manifests/${digest}`);

/** The value of a `Link` header to the next page (RFC 8288). */
export const nextLink = (request: FastifyRequest, path: string, query: Record<string, string>): string =>
  `<${urlOf(request, path)}?${new URLSearchParams(query)}>; rel="next"`;
