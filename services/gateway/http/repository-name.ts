/**
 * Repository names have slashes in them, and the router matches whole path segments: so a request's path is rewritten
 * before it is routed, `/v2/a/b/c/manifests/x` to `/v2/a%2Fb%2Fc/manifests/x`. The last part that reads like the end
 * of a registry path is taken as such, so a repository may be called `a/manifests/b`.
 *
 * The name is not checked here, so that a bad one reaches the route and gets its error. No name begins with `_`:
 * `/v2/_catalog` and `/v2/_terrace/…` stay as they are.
 */
const PATH =
  /^\/v2\/(?!_)(.+)\/(manifests\/[^/]+|blobs\/uploads\/[^/]*|blobs\/[^/]+|tags\/list|referrers\/[^/]+)$/;

/** A request may name the whole URL (RFC 9112, 3.2.2). */
const ORIGIN = /^https?:\/\/[^/?]*/i;

export function foldName(url: string): string {
  const local = url.startsWith('/') ? url : url.replace(ORIGIN, '') || '/';
  const query = local.indexOf('?');
  const path = query < 0 ? local : local.slice(0, query);
  const match = PATH.exec(path);
  if (!match) return local;
  // Some clients leave the last slash out.
  const end = match[2] === 'blobs/uploads' ? 'blobs/uploads/' : match[2];
  return `/v2/${encodeURIComponent(match[1]!)}/${end}${query < 0 ? '' : local.slice(query)}`;
}
