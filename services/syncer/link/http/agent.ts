import type { LookupFunction } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createSecureContext, getCACertificates } from 'node:tls';
import { Agent, buildConnector, type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import type { CertificateAndKey } from '#proto/http/certificate-pair.ts';
import { type ProxyBypass, proxyBypass } from '#proto/http/no-proxy.ts';
import { hasProxy, noProxyList } from '#proto/http/proxy-environment.ts';
import { ADDRESS_MS } from '#proto/process/address-timeout.ts';
import { SOCKET_BYTES } from './sending.ts';
import { SpareConnections } from './spare-connections.ts';

/** Max time to connect, with TLS and to all addresses of a name, and for a proxy's answer to CONNECT, in ms. */
const CONNECT_MS = 30_000;
/**
 * Idle time after which the kernel probes the other side, each second, ten times, in ms. A long poll at a parent that
 * disappeared without closing the connection fails soon after.
 */
const PROBE_MS = 10_000;

/**
 * Connections to the parent, its token service and its blob hosts, through the proxies that the environment names
 * (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`).
 * @param stallMs max wait for the head of an answer, and for more of its body, in ms
 * @param ca certificates (PEM) to trust in addition to the machine's
 * @param lookup resolves names of hosts that are connected to without a proxy
 * @param certificate client certificate for all hosts, but not for a proxy
 */
export function makeAgent(
  stallMs: number,
  ca: string | undefined,
  lookup?: LookupFunction,
  certificate?: CertificateAndKey,
): LinkAgent {
  const trusted = [...getCACertificates('default'), ...(ca ? [ca] : [])];
  const contextOf = (own?: CertificateAndKey) =>
    (ca || own) && { secureContext: createSecureContext({ ca: trusted, ...own }) };
  const connect = {
    timeout: CONNECT_MS,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_MS,
    highWaterMark: SOCKET_BYTES,
    keepAlive: true,
    keepAliveInitialDelay: PROBE_MS,
    allowH2: false,
  };
  const target = { ...connect, ...contextOf(certificate) };
  const options: Agent.Options = {
    headersTimeout: stallMs,
    bodyTimeout: stallMs,
    keepAliveTimeout: 30_000,
    // HTTP/2 would send all requests over one connection, of which a lossy link carries a fraction of its rate.
    allowH2: false,
  };
  const spare = new SpareConnections(buildConnector({ ...target, ...(lookup && { lookup }) }));
  const proxied = new EnvHttpProxyAgent({
    ...options,
    connect: { ...target, ...(lookup && { lookup }) },
    // `LinkAgent` decides: undici's list has no networks.
    noProxy: '',
    requestTls: target,
    proxyTls: { ...connect, ...contextOf() },
    // Bounds the wait for a proxy that accepts the connection but does not answer CONNECT.
    clientFactory: (origin: URL, given: object) => new Pool(origin, { ...given, headersTimeout: CONNECT_MS }),
  } as ConstructorParameters<typeof EnvHttpProxyAgent>[0]);
  const direct = new Agent({ ...options, connect: spare.connect });
  const isListed = proxyBypass(noProxyList());
  const isProxied = { http: hasProxy('http:'), https: hasProxy('https:') };
  const bypass = (url: URL) =>
    !(url.protocol === 'https:' ? isProxied.https : isProxied.http) || isListed(url);
  return new LinkAgent({ proxied, direct, spare, bypass });
}

type LinkAgentParts = { proxied: Dispatcher; direct: Agent; spare: SpareConnections; bypass: ProxyBypass };

/** Connections with and without a proxy. */
export class LinkAgent {
  readonly #proxied: Dispatcher;
  readonly #direct: Agent;
  readonly #spare: SpareConnections;
  readonly #bypass: ProxyBypass;

  constructor({ proxied, direct, spare, bypass }: LinkAgentParts) {
    this.#proxied = proxied;
    this.#direct = direct;
    this.#spare = spare;
    this.#bypass = bypass;
  }

  async request(options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData> {
    // Undici frees a connection one turn of the event loop after its answer; before, it would open another one.
    await nextTurn();
    const direct = this.#bypass(new URL(options.origin as string | URL));
    // Undici closes the connection after each HEAD, for servers that send a body with it. Such bytes on an idle
    // connection close it in any case.
    const reset = options.method === 'HEAD' ? { reset: false } : {};
    return (direct ? this.#direct : this.#proxied).request({ ...options, ...reset });
  }

  /** Round trip to the hosts without a proxy, in ms; undefined before the first connection. */
  get roundTripMs(): number | undefined {
    return this.#spare.roundTripMs;
  }

  /** As of the last connection without a proxy, in ms since 1970; undefined before it, and without TLS. */
  get certificateEnds(): number | undefined {
    return this.#spare.certificateEnds;
  }

  /** Opens connections to a host until there are `count`, busy or not. Behind a proxy, it does nothing. */
  prepare(origin: URL, count: number): void {
    if (!this.#bypass(origin)) return;
    const { connected = 0 } = (this.#direct.stats[origin.origin] ?? {}) as { connected?: number };
    this.#spare.prepare(origin, count - connected);
  }

  /** Ends when all requests have ended. */
  async close(): Promise<void> {
    this.#spare.clear();
    await Promise.all([this.#proxied.close(), this.#direct.close()]);
  }

  async destroy(): Promise<void> {
    this.#spare.clear();
    await Promise.all([this.#proxied.destroy(), this.#direct.destroy()]);
  }
}
