import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { formatSeconds } from '#proto/contract/quantity-text.ts';
import { fault, type Verdict, warning } from '../verdict/check.ts';
import { hostOf } from './connection.ts';
import type { ParentFacts, ParentTarget } from './parent-facts.ts';

/** The name of the parent: its addresses, as this machine resolves them. */

/** Min time of a resolution that is worth a word, in ms. */
const SLOW_MS = 2_000;
/** Max addresses that are tried. */
const MAX_ADDRESSES = 8;

export type NameSeen = { host: string; ms: number } & ({ addresses: string[] } | { error: string });

export async function checkName({ url }: ParentTarget, facts: ParentFacts): Promise<Verdict> {
  if (facts.proxy) return { about: 'the proxy resolves it' };
  const host = hostOf(url);
  if (isIP(host)) {
    facts.addresses = [host];
    return { about: `${host} is an address` };
  }
  const seen = await resolveName(host);
  if ('addresses' in seen) facts.addresses = seen.addresses.slice(0, MAX_ADDRESSES);
  return nameVerdict(seen);
}

async function resolveName(host: string): Promise<NameSeen> {
  const startedAt = performance.now();
  const ms = () => performance.now() - startedAt;
  try {
    const found = await lookup(host, { all: true });
    return { host, ms: ms(), addresses: [...new Set(found.map(({ address }) => address))] };
  } catch (error) {
    return { host, ms: ms(), error: (error as NodeJS.ErrnoException).code ?? 'unknown' };
  }
}

/** Pure. */
export function nameVerdict(seen: NameSeen): Verdict {
  const { host, ms } = seen;
  if ('error' in seen) {
    const { error } = seen;
    return error === 'ENOTFOUND'
      ? {
          about: host,
          findings: [
            fault(
              `the name ${host} has no address (ENOTFOUND)`,
              'correct parent.url, or add the name to the DNS server or to /etc/hosts of this machine',
            ),
          ],
        }
      : {
          about: host,
          findings: [
            fault(
              `the name ${host} can't be resolved: the DNS server gives no answer (${error})`,
              'check /etc/resolv.conf and the way to the DNS servers in it',
            ),
          ],
        };
  }
  const families = seen.addresses.map((address) => (address.includes(':') ? 6 : 4));
  const both = families.includes(4) && families.includes(6) ? ', of both families' : '';
  const about = `${host} is ${seen.addresses.slice(0, 4).join(', ')}${both}`;
  if (ms < SLOW_MS) return { about };
  const what = `it takes ${formatSeconds(ms)} to resolve ${host}`;
  const remedy =
    'put the DNS server that answers first in /etc/resolv.conf: each new connection waits for it';
  return { about, findings: [warning(what, remedy)] };
}
