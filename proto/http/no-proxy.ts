import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { isNetwork } from '../document/networks.ts';
import { isIn } from './addresses.ts';

/** Hosts that are reached without a proxy (`NO_PROXY`). Pure. */

/** Whether a URL is requested without a proxy. */
export type ProxyBypass = (url: URL) => boolean;

type Matcher = (host: string) => boolean;

/** Ports that a URL leaves out. */
const DEFAULT_PORTS: Record<string, string> = { 'http:': '80', 'https:': '443' };

/**
 * Parses a list that is separated by commas or spaces:
 *
 *   `*`                                      all hosts
 *   `corp.example`, `.corp.example`          that name, and all names below it
 *   `*.corp.example`                         all names below it
 *   `10.0.0.7`, `fd00::7`, `[fd00::7]`       that address
 *   `10.0.0.0/8`, `fd00::/8`, `[fd00::]/8`   all addresses in that network
 *
 * each with an optional `:port`, of an IPv6 address in brackets only. Names are not resolved: addresses and networks
 * match hosts that are written as an address.
 */
export function proxyBypass(list: string): ProxyBypass {
  const entries = list
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(parseEntry);
  return (url) => {
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/(.)\.$/, '$1');
    const urlPort = url.port || DEFAULT_PORTS[url.protocol];
    return entries.some(({ matches, port }) => (port === undefined || port === urlPort) && matches(host));
  };
}

function parseEntry(entry: string): { matches: Matcher; port: string | undefined } {
  // More than one colon without brackets is an IPv6 address, which has no port.
  const [, text = entry, port] = /^((?:\[[^\]]*\](?:\/\d+)?)|[^:]+):(\d+)$/.exec(entry) ?? [];
  return {
    matches: matcherOf(text.replace(/^\[(.*)\]/, '$1').toLowerCase()),
    port: port && `${Number(port)}`,
  };
}

function matcherOf(text: string): Matcher {
  if (text === '*') return () => true;
  if (isNetwork(text)) return (host) => isIP(host) > 0 && isIn(host, text);
  const name = text.replace(/^\*?\./, '').replace(/(.)\.$/, '$1');
  const ascii = domainToASCII(name) || name;
  const isSuffixOnly = text.startsWith('*.');
  return (host) => (!isSuffixOnly && host === ascii) || host.endsWith(`.${ascii}`);
}
