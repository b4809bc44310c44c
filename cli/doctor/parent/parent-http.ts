import type { Socket } from 'node:net';
import type { Agent, Dispatcher } from 'undici';
import type { CertificateAndKey } from '#proto/http/certificate-pair.ts';
import { ADDRESS_MS } from '#proto/process/address-timeout.ts';
import { CONNECT_MS, hostOf, portOf, trusted } from './connection.ts';

/** Max time without progress of an answer, in ms. */
const STALL_MS = 10_000;
/** Max bytes of an answer that are read. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

export type HttpAnswer = {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  /** When its head arrived, by the clock of this machine, in ms since 1970. */
  at: number;
  /** Time from the request to its head on an open connection, at most, in ms. */
  tripMs: number;
};

export type HttpRequest = {
  method?: 'GET' | 'HEAD' | 'POST' | 'DELETE';
  headers?: Record<string, string | undefined>;
  body?: string;
  /** Max bytes of the answer that are read. */
  maxBytes?: number;
  signal: AbortSignal;
};

export type HttpOptions = {
  proxy?: URL | undefined;
  ca?: string | undefined;
  /** Client certificate, which the parent's own host alone gets. */
  pair?: CertificateAndKey | undefined;
  /** False: any certificate is accepted. For requests without credentials only. */
  isVerified?: boolean;
};

/** Requests to the parent and its token service, through the proxy that the layer uses. Redirects are not followed. */
export class ParentHttp implements AsyncDisposable {
  readonly base: URL;
  readonly #own: Dispatcher;
  readonly #others: Dispatcher;

  /** Loads undici on demand: a layer without a parent needs none of it. */
  static async open(base: URL, { proxy, ca, pair, isVerified = true }: HttpOptions): Promise<ParentHttp> {
    const { Agent, EnvHttpProxyAgent } = await import('undici');
    const agentOf = (certificate?: CertificateAndKey): Dispatcher => {
      const tls = { ca: trusted(ca), rejectUnauthorized: isVerified };
      const connect = {
        timeout: CONNECT_MS,
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: ADDRESS_MS,
        ...tls,
        ...certificate,
      };
      const options = {
        headersTimeout: STALL_MS,
        bodyTimeout: STALL_MS,
        connect,
        allowH2: false,
      } as Agent.Options;
      if (!proxy) return new Agent(options);
      const through = { httpProxy: proxy.href, httpsProxy: proxy.href, noProxy: '' };
      return new EnvHttpProxyAgent({ ...options, ...through, requestTls: connect, proxyTls: tls } as never);
    };
    return new ParentHttp(base, agentOf(pair), pair ? agentOf() : undefined);
  }

  private constructor(base: URL, own: Dispatcher, others = own) {
    this.base = base;
    this.#own = own;
    this.#others = others;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...new Set([this.#own, this.#others])].map((one) => one.destroy()));
  }

  /** @param path of the API, below the path of the parent's address; or a URL @throws errors of the connection */
  async request(
    path: string | URL,
    { method = 'GET', headers, body, maxBytes = MAX_BODY_BYTES, signal }: HttpRequest,
  ): Promise<HttpAnswer> {
    const url = typeof path === 'string' ? urlAt(this.base, path) : path;
    const dispatcher = url.origin === this.base.origin ? this.#own : this.#others;
    const startedAt = performance.now();
    const answer = await dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers: { 'user-agent': 'terrace-doctor', ...headers },
      body: body ?? null,
      signal,
    });
    const [at, tripMs] = [Date.now(), performance.now() - startedAt];
    return {
      status: answer.statusCode,
      headers: firstValues(answer.headers),
      body: await readUpTo(answer.body, maxBytes),
      at,
      tripMs,
    };
  }
}

/** A path of the API at the parent, whose address may have a path of its own. */
export const urlAt = (base: URL, path: string): URL =>
  path.startsWith('http://') || path.startsWith('https://')
    ? new URL(path)
    : new URL(`${base.pathname.replace(/\/$/, '')}${path}`, base);

const firstValues = (headers: Dispatcher.ResponseData['headers']): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]));

async function readUpTo(body: Dispatcher.ResponseData['body'], max: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > max) break;
  }
  return Buffer.concat(chunks).subarray(0, max);
}

/** What a proxy answers to the request for a tunnel to the parent. */
export type Tunnel = { status: number; socket?: Socket };

/** @throws errors of the connection */
export async function openTunnel(proxy: URL, target: URL, signal: AbortSignal): Promise<Tunnel> {
  const { Client } = await import('undici');
  const client = new Client(proxy.origin, {
    connect: { timeout: CONNECT_MS, ca: trusted(undefined) },
    headersTimeout: STALL_MS,
  });
  const { username, password } = proxy;
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString(
    'base64',
  );
  const host = hostOf(target).includes(':') ? `[${hostOf(target)}]` : hostOf(target);
  const path = `${host}:${portOf(target)}`;
  const headers = { host: path, ...(username && { 'proxy-authorization': `Basic ${login}` }) };
  const { statusCode, socket } = await client.connect({ path, headers, signal });
  socket.on('error', () => {});
  if (statusCode === 200) return { status: 200, socket: socket as Socket };
  socket.destroy();
  await client.destroy();
  return { status: statusCode };
}
