import type { IncomingHttpHeaders } from 'node:http';

/** Content is named by its digest, so its digest is a strong entity tag (RFC 9110, 8.8.3). */
export const etagOf = (digest: string): string => `"${digest}"`;

/** Whether the client already has this content (RFC 9110, 13.1.2: weak comparison). */
export function isFresh(headers: IncomingHttpHeaders, digest: string): boolean {
  const known = headers['if-none-match'];
  return known !== undefined && includesTag(known.replaceAll('W/', ''), digest);
}

/** Whether the client makes a change conditional on the current content. */
export const isConditional = (headers: IncomingHttpHeaders): boolean =>
  headers['if-match'] !== undefined || headers['if-none-match'] !== undefined;

/** Whether the conditions allow the change while `current` is the content (RFC 9110, 13.1.1 and 13.1.2). */
export function allows(headers: IncomingHttpHeaders, current: string | undefined): boolean {
  const only = headers['if-match'];
  if (only !== undefined && (current === undefined || !includesTag(only, current))) return false;
  return current === undefined || !isFresh(headers, current);
}

/** Whether these entity tags include the digest. */
const includesTag = (tags: string, digest: string): boolean =>
  tags.trim() === '*' || tags.split(',').some((tag) => tag.trim() === etagOf(digest));

/** The `Range` header, unless `If-Range` names other content (RFC 9110, 13.1.5). */
export function rangeFor(headers: IncomingHttpHeaders, digest: string): string | undefined {
  const condition = headers['if-range'];
  if (condition !== undefined && String(condition).trim() !== etagOf(digest)) return undefined;
  return headers.range;
}
