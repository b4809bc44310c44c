/** The list `NO_PROXY` of this process, as undici reads the other variables of proxies: in lower case first. */
export function noProxyList(): string {
  const { no_proxy, NO_PROXY = '' } = process.env;
  return no_proxy ?? NO_PROXY;
}

/** Whether this process has a proxy for URLs of this protocol. As in undici, that for HTTP is also one for HTTPS. */
export function hasProxy(protocol: string): boolean {
  const { http_proxy, HTTP_PROXY, https_proxy, HTTPS_PROXY } = process.env;
  const forHttp = http_proxy ?? HTTP_PROXY;
  return !!forHttp || (protocol === 'https:' && !!(https_proxy ?? HTTPS_PROXY));
}
