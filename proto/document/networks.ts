import { isIP, isIPv4 } from 'node:net';

/** Whether the text is an address, or a network as `address/bits`. */
export function isNetwork(text: string): boolean {
  const [, address = '', bits] = /^([^/%]+)(?:\/(.+))?$/.exec(text) ?? [];
  const version = isIP(address);
  return (
    version > 0 &&
    (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)))
  );
}

/** Whether the text is a host name, or `*.suffix` for all names below one. */
export const isHostPattern = (text: string): boolean =>
  /^(?:\*\.)?[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/i.test(text);

/** Whether only this machine can reach the host: an address, or `localhost`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
