import ipaddr from 'ipaddr.js';

/** Which addresses a parent may send this layer to. Pure. */

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Prefix length of an address's network, in bits. Addresses in the parent's network count as the parent's. */
const NETWORK_BITS = { ipv4: 24, ipv6: 64 } as const;

/** Whether the address is publicly routable: not of this machine, not of a private network, not reserved. */
export function isPublic(text: string): boolean {
  const address = ipaddr.process(text);
  if (address.kind() === 'ipv4') return address.range() === 'unicast';
  const within = embedded(address as ipaddr.IPv6);
  return within ? within.range() === 'unicast' : address.range() === 'unicast';
}

/** Whether the address is in the network of one of `others`. All loopback addresses are in one network. */
export function isInNetworkOf(text: string, others: readonly string[]): boolean {
  const address = ipaddr.process(text);
  return others.some((other) => {
    const base = ipaddr.process(other);
    if (base.range() === 'loopback') return address.range() === 'loopback';
    return isWithin(address, base, NETWORK_BITS[base.kind()]);
  });
}

/** Whether the address is in the network. @param network an address, or `address/bits` */
export function isIn(text: string, network: string): boolean {
  const [prefix = '', bits] = network.split('/');
  const base = ipaddr.process(prefix);
  const size = base.toByteArray().length * 8;
  // The length of an IPv4 network that is written as an IPv6 one counts the 96 bits before it.
  const before = prefix.includes(':') && base.kind() === 'ipv4' ? 96 : 0;
  return isWithin(ipaddr.process(text), base, bits === undefined ? size : Math.max(0, Number(bits) - before));
}

export const isAddress = (text: string): boolean => ipaddr.isValid(text);

function isWithin(address: Address, base: Address, bits: number): boolean {
  if (address.kind() === 'ipv4' && base.kind() === 'ipv4')
    return (address as ipaddr.IPv4).match(base as ipaddr.IPv4, bits);
  if (address.kind() === 'ipv6' && base.kind() === 'ipv6')
    return (address as ipaddr.IPv6).match(base as ipaddr.IPv6, bits);
  return false;
}

/** The IPv4 address embedded in an IPv6 one: NAT64 (RFC 6052) in its last 4 bytes, 6to4 after its first 2. */
function embedded(address: ipaddr.IPv6): ipaddr.IPv4 | undefined {
  const from = { rfc6052: 12, '6to4': 2 }[address.range() as string];
  return from === undefined ? undefined : new ipaddr.IPv4(address.toByteArray().slice(from, from + 4));
}
