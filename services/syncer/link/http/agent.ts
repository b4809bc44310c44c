import type { LookupFunction } from 'node:net';
import { createSecureContext, getCACertificates } from 'node:tls';
import { type Agent, EnvHttpProxyAgent, Pool } from 'undici';

const CONNECT_MS = 10_000;
/**
 * After so long without a byte the kernel probes the other side, each second, ten times: a request that rests at a
 * parent that is gone without a word fails soon after. In ms.
 */
const PROBE_MS = 10_000;
/** Bytes that a socket holds back: one that is among many on a slow link sends so many before it counts as stalled. */
export const SOCKET_BYTES = 16 * 1024;

/**
 * Connections to the parent, its token service and its blob hosts, through the proxies that the environment names
 * (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`).
 * @param ca certificates (PEM) to trust beside those that the machine does
 * @param lookup resolves names for what is connected to without a proxy
 */
export function makeAgent(
  stallMs: number,
  ca: string | undefined,
  lookup?: LookupFunction,
): EnvHttpProxyAgent {
  const trusted = ca && { secureContext: createSecureContext({ ca: [...getCACertificates('default'), ca] }) };
  const connect = {
    timeout: CONNECT_MS,
    highWaterMark: SOCKET_BYTES,
    keepAlive: true,
    keepAliveInitialDelay: PROBE_MS,
    ...trusted,
  };
  const options: Agent.Options = {
    connect: { ...connect, ...(lookup && { lookup }) },
    headersTimeout: stallMs,
    bodyTimeout: stallMs,
    keepAliveTimeout: 30_000,
  };
  return new EnvHttpProxyAgent({
    ...options,
    requestTls: connect,
    proxyTls: connect,
    // A proxy that takes the connection and does not answer CONNECT.
    clientFactory: (origin: URL, given: object) => new Pool(origin, { ...given, headersTimeout: CONNECT_MS }),
  } as ConstructorParameters<typeof EnvHttpProxyAgent>[0]);
}
