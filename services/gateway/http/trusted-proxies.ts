import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** Addresses of trusted proxies, whose `X-Forwarded-*` headers about a client are used. */
export class TrustedProxies {
  readonly #networks: () => readonly string[];
  #current: readonly string[] = [];
  #list = new BlockList();

  /**
   * @param networks addresses, or networks such as `10.0.0.0/8`; called each time; a changed list must be a new array
   */
  constructor(networks: () => readonly string[]) {
    this.#networks = networks;
  }

  readonly trusts = (address: string | undefined): boolean => {
    if (address === undefined) return false;
    const networks = this.#networks();
    if (networks !== this.#current) {
      this.#list = blockList(networks);
      this.#current = networks;
    }
    // A dual-stack socket reports an IPv4 client as an IPv4-mapped address (RFC 4291, 2.5.5.2).
    const plain = address.startsWith('::ffff:') ? address.slice(7) : address;
    if (isIPv4(plain)) return this.#list.check(plain, 'ipv4');
    return isIPv6(address) && this.#list.check(address, 'ipv6');
  };
}

/** Skips invalid networks: the configuration has been checked. */
function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined;
    if (family) list.addSubnet(address, Number(bits ?? (family === 'ipv4' ? 32 : 128)), family);
  }
  return list;
}
