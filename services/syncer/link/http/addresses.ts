import ipaddr from 'ipaddr.js';

/** Which addresses a parent may send this layer to. Pure. */

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** How much of an address names its network: what is beside the parent is the parent's. */
const OWN_BITS = { ipv4: 24, ipv6: 64 } as const;

/** An address that anybody on the internet may have: not of this machine, of a private network, or of no use at all. */
export function isPublic(text: string): boolean {
  const address = ipaddr.process(text);
  if (address.kind() === 'ipv4') return address.range() === 'unicast';
  const within = embedded(address as ipaddr.IPv6);
  return within ? within.range() === 'unicast' : address.range() === 'unicast';
}

/** Whether it lies in the network of one of `others`; what is of this machine lies in one. */
export function isBeside(text: string, others: readonly string[]): boolean {
  const address = ipaddr.process(text);
  return others.some((other) => {
    const own = ipaddr.process(other);
    if (own.range() === 'loopback') return address.range() === 'loopback';
    return isWithin(address, own, OWN_BITS[own.kind()]);
  });
}

/** @param network an address, or `address/bits` */
export function isIn(text: string, network: string): boolean {
  const [base = '', bits] = network.split('/');
  const own = ipaddr.process(base);
  return isWithin(
    ipaddr.process(text),
    own,
    bits === undefined ? own.toByteArray().length * 8 : Number(bits),
  );
}

export const isAddress = (text: string): boolean => ipaddr.isValid(text);

function isWithin(address: Address, base: Address, bits: number): boolean {
  if (address.kind() === 'ipv4' && base.kind() === 'ipv4')
    return (address as ipaddr.IPv4).match(base as ipaddr.IPv4, bits);
  if (address.kind() === 'ipv6' && base.kind() === 'ipv6')
    return (address as ipaddr.IPv6).match(base as ipaddr.IPv6, bits);
  return false;
}

/** The IPv4 address that a translator makes of one of IPv6: NAT64 (RFC 6052) in its last bytes, 6to4 behind its first two. */
function embedded(address: ipaddr.IPv6): ipaddr.IPv4 | undefined {
  const from = { rfc6052: 12, '6to4': 2 }[address.range() as string];
  return from === undefined ? undefined : new ipaddr.IPv4(address.toByteArray().slice(from, from + 4));
}
