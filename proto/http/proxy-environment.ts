/**
 * How HTTP connections are set up, shared by services and the command, without I/O but for the files of a certificate:
 * proxies of the environment (this file, no-proxy.ts, addresses.ts), a certificate and its key (certificate-pair.ts),
 * the challenge of a registry (parent-challenge.ts) and the address of its token service (token-realm.ts).
 */

/** The variables that name proxies, by any name. */
export const PROXY_VARIABLES = [
  'http_proxy',
  'HTTP_PROXY',
  'https_proxy',
  'HTTPS_PROXY',
  'no_proxy',
  'NO_PROXY',
] as const;

export type ProxyEnvironment = Partial<Record<(typeof PROXY_VARIABLES)[number], string | undefined>>;

/** The list `NO_PROXY`, as undici reads the other variables of proxies: in lower case first. */
export function noProxyList({ no_proxy, NO_PROXY = '' }: ProxyEnvironment = process.env): string {
  return no_proxy ?? NO_PROXY;
}

/** The proxy for URLs of this protocol, if there is one. As in undici, that for HTTP is also one for HTTPS. */
export function proxyOf(
  protocol: string,
  { http_proxy, HTTP_PROXY, https_proxy, HTTPS_PROXY }: ProxyEnvironment = process.env,
): string | undefined {
  const forHttp = http_proxy ?? HTTP_PROXY;
  const forHttps = protocol === 'https:' ? (https_proxy ?? HTTPS_PROXY) : undefined;
  return forHttps || forHttp || undefined;
}

/** Whether this process has a proxy for URLs of this protocol. */
export const hasProxy = (protocol: string): boolean => proxyOf(protocol) !== undefined;
