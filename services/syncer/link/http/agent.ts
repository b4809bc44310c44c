import type { LookupFunction } from 'node:net';
import { createSecureContext, getCACertificates } from 'node:tls';
import { Agent, type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import { ADDRESS_MS } from '#proto/process/address-timeout.ts';
import type { CertificateAndKey } from '../../../process/certificate-pair.ts';
import { noProxyList } from '../../../process/proxy-environment.ts';
import { type ProxyBypass, proxyBypass } from './no-proxy.ts';
import { SOCKET_BYTES } from './sending.ts';

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
  };
  const target = { ...connect, ...contextOf(certificate) };
  const options: Agent.Options = {
    connect: { ...target, ...(lookup && { lookup }) },
    headersTimeout: stallMs,
    bodyTimeout: stallMs,
    keepAliveTimeout: 30_000,
  };
  const proxied = new EnvHttpProxyAgent({
    ...options,
    // `LinkAgent` decides: undici's list has no networks.
    noProxy: '',
    requestTls: target,
    proxyTls: { ...connect, ...contextOf() },
    // Bounds the wait for a proxy that accepts the connection but does not answer CONNECT.
    clientFactory: (origin: URL, given: object) => new Pool(origin, { ...given, headersTimeout: CONNECT_MS }),
  } as ConstructorParameters<typeof EnvHttpProxyAgent>[0]);
  return new LinkAgent(proxied, new Agent(options), proxyBypass(noProxyList()));
}

/** Connections with and without a proxy. */
export class LinkAgent {
  readonly #proxied: Dispatcher;
  readonly #direct: Dispatcher;
  readonly #bypass: ProxyBypass;

  constructor(proxied: Dispatcher, direct: Dispatcher, bypass: ProxyBypass) {
    this.#proxied = proxied;
    this.#direct = direct;
    this.#bypass = bypass;
  }

  request(options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData> {
    const direct = this.#bypass(new URL(options.origin as string | URL));
    return (direct ? this.#direct : this.#proxied).request(options);
  }

  /** Ends when all requests have ended. */
  async close(): Promise<void> {
    await Promise.all([this.#proxied.close(), this.#direct.close()]);
  }

  async destroy(): Promise<void> {
    await Promise.all([this.#proxied.destroy(), this.#direct.destroy()]);
  }
}
