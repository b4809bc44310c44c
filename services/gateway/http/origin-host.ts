/**
 * Whether a page of this origin is one of a host by which the request names this layer. An origin has no port that is
 * the default of its scheme, and a host may have it. `null`, the origin of pages without one, is no host.
 */
export function isOriginOf(origin: string, hosts: readonly string[]): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host } = new URL(origin);
  if (host === '') return false;
  return hosts.some((one) => {
    const url = `${protocol}//${one}`;
    return one.toLowerCase() === host || (HOST.test(one) && URL.canParse(url) && new URL(url).host === host);
  });
}

/** Nothing that would be another part of a URL. */
const HOST = /^[^/?#@\\\s]+$/;
