/**
 * Paths at a parent whose address may have a path, such as `https://host/hosted/docker/key`. The API is below
 * it: `/hosted/docker/key/v2/…`. Pure.
 */

/** Path of the parent's address, without a slash at the end; `''` for none. */
const basePath = ({ pathname }: URL): string => pathname.replace(/(?<!\/)\/+$/, '');

/** Host, port and path: what the parent is recorded by. Without a path, the host and port alone. */
export function identityOfParent(address: string): string {
  const base = new URL(address);
  return `${base.host}${basePath(base)}`;
}

/** Whether the path is one of the API, with or without that of the parent's address. */
export const isApiPath = (base: URL, path: string): boolean =>
  path.startsWith('/v2/') || path.startsWith(`${basePath(base)}/v2/`);

/** The URL of a path of the API, of a path that is complete, or of a URL. */
export function urlAt(base: URL, target: string): URL {
  const prefix = basePath(base);
  const isComplete = !target.startsWith('/') || target.startsWith(`${prefix}/`);
  return new URL(isComplete ? target : `${prefix}${target}`, base);
}

/**
 * What to request for a path that the parent named in its answer to `requested`: a complete path, or a URL. A proxy in
 * front of the parent may remove the path of its address from requests and leave what the answers name as it is: a path
 * of the same resource is then below the address too.
 */
export function namedPath(base: URL, { pathname, search }: URL, requested: URL): string {
  const prefix = basePath(base);
  if (pathname.startsWith(`${prefix}/`)) return `${pathname}${search}`;
  if (isSameResource(pathname, requested.pathname.slice(prefix.length)))
    return `${prefix}${pathname}${search}`;
  return `${base.origin}${pathname}${search}`;
}

/** @param api path that was requested, without that of the address */
function isSameResource(pathname: string, api: string): boolean {
  const folder = api.slice(0, api.lastIndexOf('/') + 1);
  return pathname === api || (folder !== '/v2/' && pathname.startsWith(folder));
}
