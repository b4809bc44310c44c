import { hostname, networkInterfaces } from 'node:os';
import type { FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { ofLast } from '../http/last-text.ts';
import { HEALTH_PATH } from '../http/login-server.ts';
import { isOriginOf } from '../http/origin-host.ts';

/**
 * While a layer has no accounts, every client that reaches it may do everything, and a browser on this machine reaches
 * it for any page that it shows. An open layer therefore refuses requests from pages of other sites, and every host
 * name that is not this machine's: a page's own name may be made to resolve to this machine (DNS rebinding).
 */

/** Names that container engines give the machine inside containers; no public DNS resolves `.internal`. */
const ENGINE_NAMES = new Set(['host.docker.internal', 'host.containers.internal']);

const REMEDY = 'create a token that clients log in with ("terrace token create NAME --push \'*\'")';

export type OpenLayer = {
  /** Whether the layer has no accounts and admits everyone. */
  isOpen: () => boolean | Promise<boolean>;
  loginServer: () => string | undefined;
  /** Accept only this machine's names. */
  ownNamesOnly: boolean;
};

/** @throws Fault `denied` for a page of another site; `misdirected` for another machine's name; `unavailable` */
export function checkOrigin(request: FastifyRequest, layer: OpenLayer): void | Promise<void> {
  const page = pageOfAnotherSite(request);
  const hosts = layer.ownNamesOnly && request.url !== HEALTH_PATH ? hostsOf(request) : [];
  // Nearly all clients of an open layer use a loopback name; any other needs a lookup of this machine's addresses.
  if (!page && hosts.every(isLoopbackHost)) return;
  const open = layer.isOpen();
  const refuse = (isOpen: boolean) => {
    if (isOpen) refuseOrigin(page, hosts.map(nameIn), layer);
  };
  return open instanceof Promise ? open.then(refuse) : refuse(open);
}

function refuseOrigin(page: Fault | undefined, names: string[], layer: OpenLayer): void {
  if (page) throw page;
  const loginServer = withoutPort(layer.loginServer()?.toLowerCase() ?? '');
  const foreign = names.find((name) => name !== loginServer && !isOwnName(name));
  if (foreign !== undefined) throw nameOfAnotherMachine(foreign);
}

function pageOfAnotherSite({ headers, host: forwarded }: FastifyRequest): Fault | undefined {
  const { origin, host = '' } = headers;
  // Behind a proxy, the origin of a page of this layer is the name that the proxy forwards.
  const isForeign = origin !== undefined && !isOriginOf(origin, [host, forwarded]);
  if (!isForeign && headers['sec-fetch-site'] !== 'cross-site') return undefined;
  return new Fault(
    'denied',
    `this layer has no accounts, so it rejects requests from pages of other sites: ${REMEDY}`,
  );
}

/** The Host of the connection counts as well: a page can send any X-Forwarded-Host to its own name. */
const hostsOf = ({ headers, host }: FastifyRequest): string[] =>
  headers.host === host ? [host] : [headers.host ?? '', host];

const nameIn = (host: string): string => withoutPort(host.toLowerCase());

function nameOfAnotherMachine(name: string): Fault {
  return new Fault(
    'misdirected',
    `this layer has no accounts, so it accepts only the host names of this machine (localhost, 127.0.0.1, ${hostname()}), and this request is for ${name.slice(0, 80)}: ${REMEDY}, or set loginServer to the name that clients use`,
  );
}

function isOwnName(name: string): boolean {
  if (isLoopbackName(name) || name === hostname().toLowerCase() || ENGINE_NAMES.has(name)) return true;
  const plain = name.replace(/^::ffff:(?=\d+\.)/, '');
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === plain));
}

/** HTTP/1.0 clients may send no host; browsers always do. `.localhost`: RFC 6761, 6.3. */
const isLoopbackName = (name: string): boolean =>
  name === '' || isLoopback(name) || name.endsWith('.localhost');

const isLoopbackHost = ofLast((host: string) => isLoopbackName(nameIn(host)));

/** Also removes the brackets of an IPv6 address and the trailing dot of a full name. */
const withoutPort = (host: string): string =>
  host
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
