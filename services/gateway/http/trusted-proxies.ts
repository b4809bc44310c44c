import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** Which addresses are proxies of ours, so that what they say of a client in `X-Forwarded-*` is believed. */
export class TrustedProxies {
  readonly #networks: () => readonly string[];
  #known: readonly string[] = [];
  #list = new BlockList();

  /** @param networks addresses, or networks as `10.0.0.0/8`; asked each time, and another list is another array */
  constructor(networks: () => readonly string[]) {
    this.#networks = networks;
  }

  readonly trusts = (address: string | undefined): boolean => {
    if (address === undefined) return false;
    const networks = this.#networks();
    if (networks !== this.#known) {
      this.#list = blockList(networks);
      this.#known = networks;
    }
    // A socket that takes both families names an IPv4 client so (RFC 4291, 2.5.5.2).
    const plain = address.startsWith('::ffff:') ? address.slice(7) : address;
    if (isIPv4(plain)) return this.#list.check(plain, 'ipv4');
    return isIPv6(address) && this.#list.check(address, 'ipv6');
  };
}

/** What is no network is left out: the configuration was checked. */
function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined;
    if (family) list.addSubnet(address, Number(bits ?? (family === 'ipv4' ? 32 : 128)), family);
  }
  return list;
}
