import { hostname, networkInterfaces } from 'node:os';
import type { FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { HEALTH } from '../http/login-server.ts';
import { isLoopback } from './access-at-start.ts';

/**
 * While a layer has no accounts, whoever reaches it may do everything, and a browser on this machine reaches it for
 * any page that it shows. So such a layer refuses what a page of another site sends, and every name that is not this
 * machine's: a page's own name may be made to resolve to this machine (DNS rebinding).
 */

/** How container engines call the machine for what runs in its containers; no public DNS resolves `.internal`. */
const ENGINE_NAMES = new Set(['host.docker.internal', 'host.containers.internal']);

const REMEDY = 'make a token, and clients log in ("terrace token create NAME --push \'*\'")';

export type OpenLayer = {
  /** Are there no accounts, and may everybody come in? */
  isOpen: () => boolean | Promise<boolean>;
  loginServer: () => string | undefined;
  /** Clients know it by this machine's names only. */
  ownNamesOnly: boolean;
};

/** @throws Fault `denied` for a page of another site; `misdirected` for another machine's name; `unavailable` */
export async function checkOrigin(request: FastifyRequest, layer: OpenLayer): Promise<void> {
  const page = pageOfAnotherSite(request);
  const names = layer.ownNamesOnly && request.url !== HEALTH ? namesIn(request) : [];
  // Nearly all clients of an open layer name it so; of others, the addresses of this machine are looked up.
  if (!page && names.every(isLoopbackName)) return;
  const open = layer.isOpen();
  if (!(open instanceof Promise ? await open : open)) return;
  if (page) throw page;
  const own = withoutPort(layer.loginServer()?.toLowerCase() ?? '');
  const foreign = names.find((name) => name !== own && !isOwnName(name));
  if (foreign !== undefined) throw nameOfAnotherMachine(foreign);
}

function pageOfAnotherSite({ headers, host: named }: FastifyRequest): Fault | undefined {
  const { origin, host = '' } = headers;
  // Behind a proxy a page of this layer knows it by the name that the proxy passes on.
  const isForeign = origin !== undefined && !isIn([host, named], hostIn(origin));
  if (!isForeign && headers['sec-fetch-site'] !== 'cross-site') return undefined;
  return new Fault(
    'denied',
    `this layer has no accounts, so it takes no request that a page of another site sends: ${REMEDY}`,
  );
}

/** What the connection says counts, too: a page can send any `X-Forwarded-Host` to its own name. */
const namesIn = ({ headers, host }: FastifyRequest): string[] =>
  [headers.host ?? '', host].map((name) => withoutPort(name.toLowerCase()));

function nameOfAnotherMachine(name: string): Fault {
  return new Fault(
    'misdirected',
    `this layer has no accounts, so it answers to the names of this machine only (localhost, 127.0.0.1, ${hostname()}), and this request is for ${name.slice(0, 80)}: ${REMEDY}, or set loginServer to the name that clients use`,
  );
}

function isOwnName(name: string): boolean {
  if (isLoopbackName(name) || name === hostname().toLowerCase() || ENGINE_NAMES.has(name)) return true;
  const plain = name.replace(/^::ffff:(?=\d+\.)/, '');
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === plain));
}

/** A client of HTTP/1.0 may name nothing; browsers always do. `.localhost`: RFC 6761, 6.3. */
const isLoopbackName = (name: string): boolean =>
  name === '' || isLoopback(name) || name.endsWith('.localhost');

/** Nor the dot that ends a full name. */
const withoutPort = (host: string): string =>
  host
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');

const isIn = (hosts: string[], host: string | undefined): boolean =>
  hosts.some((one) => one.toLowerCase() === host);

/** `null`, which pages without an origin send, is nobody's host. */
function hostIn(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
