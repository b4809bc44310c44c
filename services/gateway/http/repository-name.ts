/**
 * Repository names contain slashes, but the router matches full path segments. A request's path is therefore rewritten
 * before it is routed: `/v2/a/b/c/manifests/x` to `/v2/a%2Fb%2Fc/manifests/x`. The last part that reads like the end of
 * a registry path is taken as such, so a repository may be called `a/manifests/b`.
 *
 * The name is not checked here: an invalid one reaches its route and gets its error. No name begins with `_`, so
 * `/v2/_catalog` and `/v2/_terrace/…` stay unchanged.
 */
const PATH =
  /^\/v2\/(?!_)(.+)\/(manifests\/[^/]+|blobs\/uploads\/[^/]*|blobs\/[^/]+|tags\/list|referrers\/[^/]+)$/;

/** `/api/v1/repositories/a/b/tags` to `/api/v1/repositories/a%2Fb/tags`; an encoded name stays as it is. */
const API = /^\/api\/v1\/repositories\/([^%]+?)(\/tags|\/manifests\/[^/]+(?:\/history)?)?$/;

/** The target of a request may be a full URL (RFC 9112, 3.2.2). */
const ORIGIN = /^https?:\/\/[^/?]*/i;

export function foldName(url: string): string {
  const target = url.startsWith('/') ? url : url.replace(ORIGIN, '') || '/';
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  if (path.startsWith('/api/')) {
    const [, name, end = ''] = API.exec(path) ?? [];
    if (!name) return target;
    return `/api/v1/repositories/${encodeURIComponent(name)}${end}${query < 0 ? '' : target.slice(query)}`;
  }
  const match = PATH.exec(path);
  if (!match) return target;
  // Some clients omit the last slash.
  const end = match[2] === 'blobs/uploads' ? 'blobs/uploads/' : match[2];
  return `/v2/${encodeURIComponent(match[1]!)}/${end}${query < 0 ? '' : target.slice(query)}`;
}
