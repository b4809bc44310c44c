import type { IncomingHttpHeaders } from 'node:http';

/** Content is named by its digest, so its digest is its entity tag, and a strong one (RFC 9110, 8.8.3). */
export const etagOf = (digest: string): string => `"${digest}"`;

/** Does the client have this content already? (RFC 9110, 13.1.2: compared weakly) */
export function isFresh(headers: IncomingHttpHeaders, digest: string): boolean {
  const known = headers['if-none-match'];
  if (known === undefined) return false;
  if (known.trim() === '*') return true;
  return known.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etagOf(digest));
}

/** The `Range` header, unless `If-Range` says that it is meant for other content (RFC 9110, 13.1.5). */
export function rangeFor(headers: IncomingHttpHeaders, digest: string): string | undefined {
  const condition = headers['if-range'];
  if (condition !== undefined && String(condition).trim() !== etagOf(digest)) return undefined;
  return headers.range;
}
