import { isIP } from 'node:net';

/** An address, or a network as `address/bits`. */
export function isNetwork(text: string): boolean {
  const [, address = '', bits] = /^([^/%]+)(?:\/(.+))?$/.exec(text) ?? [];
  const version = isIP(address);
  return (
    version > 0 &&
    (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)))
  );
}

/** A host's name, or `*.suffix` for all below one. */
export const isHostPattern = (text: string): boolean =>
  /^(?:\*\.)?[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/i.test(text);
