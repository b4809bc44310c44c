import { Fault } from '../contract/fault.ts';

/**
 * The address of the token service that a Bearer challenge names, relative to the parent. A parent behind a TLS proxy
 * may name itself without TLS: the same path is then requested from the parent's own address.
 * @param base the parent
 * @throws Fault `parent-invalid`. Pure.
 */
export function realmOf(realm: string | undefined, base: URL): URL {
  if (!realm) throw new Fault('parent-invalid', "the parent's Bearer challenge has no realm");
  const url = URL.canParse(realm, base.href) ? new URL(realm, base) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new Fault(
      'parent-invalid',
      "the realm of the parent's Bearer challenge is not an HTTP or HTTPS address",
    );
  }
  // A login in the address would replace the configured one.
  url.username = url.password = url.hash = '';
  if (base.protocol !== 'https:' || url.protocol === 'https:') return url;
  if (url.hostname === base.hostname) return new URL(`${url.pathname}${url.search}`, base);
  throw new Fault('parent-invalid', `the parent's token realm does not use TLS: ${url.origin}`);
}
