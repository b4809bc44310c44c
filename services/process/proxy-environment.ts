/** The list `NO_PROXY` of this process, as undici reads the other variables of proxies: in lower case first. */
export function noProxyList(): string {
  const { no_proxy, NO_PROXY = '' } = process.env;
  return no_proxy ?? NO_PROXY;
}
