import type { IncomingHttpHeaders } from 'node:http';

/** Content is named by its digest, so its digest is its entity tag, and a strong one (RFC 9110, 8.8.3). */
export const etagOf = (digest: string): string => `"${digest}"`;

/** Does the client have this content already? (RFC 9110, 13.1.2: compared weakly) */
export function isFresh(headers: IncomingHttpHeaders, digest: string): boolean {
  const known = headers['if-none-match'];
  return known !== undefined && names(known.replaceAll('W/', ''), digest);
}

/** Does the client make a change depend on what is there now? */
export const isConditional = (headers: IncomingHttpHeaders): boolean =>
  headers['if-match'] !== undefined || headers['if-none-match'] !== undefined;

/** May the change be made, where this is there now? (RFC 9110, 13.1.1 and 13.1.2) */
export function allows(headers: IncomingHttpHeaders, found: string | undefined): boolean {
  const only = headers['if-match'];
  if (only !== undefined && (found === undefined || !names(only, found))) return false;
  return found === undefined || !isFresh(headers, found);
}

/** Is it among these entity tags? */
const names = (tags: string, digest: string): boolean =>
  tags.trim() === '*' || tags.split(',').some((tag) => tag.trim() === etagOf(digest));

/** The `Range` header, unless `If-Range` says that it is meant for other content (RFC 9110, 13.1.5). */
export function rangeFor(headers: IncomingHttpHeaders, digest: string): string | undefined {
  const condition = headers['if-range'];
  if (condition !== undefined && String(condition).trim() !== etagOf(digest)) return undefined;
  return headers.range;
}
