import { formatSeconds } from '#proto/contract/quantity-text.ts';
import { fault, type Verdict, warning } from '../verdict/check.ts';
import { type Attempt, CONNECT_MS, hostOf, portOf, tryAddress } from './connection.ts';
import type { ParentFacts, ParentTarget } from './parent-facts.ts';

/** The way to the parent: a connection to each of its addresses. */

export async function checkRoute(
  { url }: ParentTarget,
  { proxy, addresses = [] }: ParentFacts,
  signal: AbortSignal,
): Promise<Verdict> {
  if (proxy) return { about: 'through the proxy' };
  const port = portOf(url);
  const attempts = await Promise.all(addresses.map((address) => tryAddress(address, port, signal)));
  signal.throwIfAborted();
  return routeVerdict(hostOf(url), port, attempts);
}

/** Pure. */
export function routeVerdict(host: string, port: number, attempts: readonly Attempt[]): Verdict {
  const failed = attempts.filter(({ code }) => code !== undefined);
  const open = attempts.filter(({ code }) => code === undefined);
  const [best] = open.toSorted((a, b) => a.ms - b.ms);
  const about = best
    ? `${best.address} port ${port} accepts connections in ${formatSeconds(Math.ceil(best.ms))}`
    : host;
  if (!best) {
    const [first] = failed;
    return { about, findings: [fault(...causeOf(host, port, first?.code ?? 'unknown'))] };
  }
  return {
    about,
    findings: failed.map(({ address, code }) =>
      warning(
        `the address ${address} of ${host} does not answer (${code}), others do: connections may wait for it`,
        'remove the address from DNS, or open the way to it',
      ),
    ),
  };
}

/** What the code of a failed connection says, and the remedy. */
function causeOf(host: string, port: number, code: string): [string, string] {
  const target = `${host} port ${port}`;
  switch (code) {
    case 'ECONNREFUSED':
      return [
        `${target} refuses connections (ECONNREFUSED): the machine answers, and nothing listens there`,
        'start the registry there, or correct the port in parent.url',
      ];
    case 'ETIMEDOUT':
      return [
        `${target} does not answer within ${formatSeconds(CONNECT_MS)}`,
        'open the firewall for it, or set HTTPS_PROXY if a proxy is the only way out',
      ];
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return [
        `there is no route to ${target} (${code})`,
        'check the network of this machine: address, gateway, VPN',
      ];
    case 'EACCES':
    case 'EPERM':
      return [`this machine forbids connections to ${target} (${code})`, 'permit them in its firewall'];
    default:
      return [
        `${target} can't be reached (${code})`,
        `test it from this machine: curl -v https://${host}:${port}/v2/`,
      ];
  }
}
