import { once } from 'node:events';
import {
  Agent,
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { patienceSignal } from '../until.ts';
import { AccessControl, type AccessOptions } from './proxy-access.ts';
import { type Bandwidth, type Interruption, Pacer, pump } from './proxy-body.ts';
import { bytesOf, type RecordedRequest } from './requests.ts';

/** What to do with one request; fields can be combined. Offsets count bytes of the body. */
export type Action = Interruption & {
  /** Closes the connection without an answer. */
  drop?: boolean;
  /** Answers this, without a request to the registry. */
  answer?: { status: number; headers?: Record<string, string>; body?: string };
  /** Delay before anything else, in ms. */
  delayMs?: number;
  /** The request is forwarded; the answer of the registry is held back until this resolves. */
  hold?: Promise<unknown>;
  /** Forwards the request without its Range header, so that the registry answers 200 with the complete content. */
  ignoreRange?: boolean;
  /** Replaces Content-Range. */
  contentRange?: string;
  /** 307 to the second listener. The URL is valid until `expireUrls()`, or for this number of uses. */
  redirect?: boolean | { uses: number };
};

export type Fault = (seen: RecordedRequest) => Action | undefined;

export type ProxyOptions = {
  access?: AccessOptions;
  /** Delay before each answer, in ms. */
  latency?: number;
  bandwidth?: Bandwidth;
};

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'expect',
  'proxy-connection',
  'te',
]);

/**
 * Resolves when every connection in the system's accept queue has been accepted. The queue is ordered: a probe
 * connection is accepted last. After a stall of this process, Node runs timers before it accepts.
 */
async function acceptAll(server: Server): Promise<void> {
  if (!server.listening) return;
  const { port } = server.address() as AddressInfo;
  const probe = connect(port, '127.0.0.1');
  const accepted = new Promise<void>((resolve) => {
    const check = (socket: Socket) => {
      if (socket.remotePort !== probe.localPort) return;
      server.off('connection', check);
      socket.once('close', () => resolve());
    };
    server.on('connection', check);
  });
  await once(probe, 'connect');
  probe.end();
  await accepted;
}

/** A reverse proxy in front of a registry, which records requests and injects faults. */
export class FaultProxy implements AsyncDisposable {
  readonly #target: URL;
  readonly #access: AccessControl | undefined;
  readonly #servers: Record<RecordedRequest['listener'], Server>;
  readonly #ports = { registry: 0, blobs: 0 };
  readonly #agent = new Agent({ keepAlive: false });
  readonly #urls = new Map<string, number>();
  readonly #total = new Pacer();
  readonly #waiting = new Set<() => void>();
  #fault: Fault = () => undefined;
  #serial = 0;
  latency: number;
  bandwidth: Bandwidth;
  /** In order of arrival. */
  requests: RecordedRequest[] = [];

  /** @param target URL of the registry, `http://host:port` */
  static async start(target: string, options: ProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, options);
    await proxy.up();
    return proxy;
  }

  private constructor(target: string, { access, latency = 0, bandwidth = {} }: ProxyOptions) {
    this.#target = new URL(target);
    this.#access = access && new AccessControl(access);
    this.latency = latency;
    this.bandwidth = bandwidth;
    const server = (listener: RecordedRequest['listener']) =>
      createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, (incoming, response) => {
        this.#handle(listener, incoming, response).catch(() => response.destroy());
      });
    this.#servers = { registry: server('registry'), blobs: server('blobs') };
  }

  get host(): string {
    return `127.0.0.1:${this.#ports.registry}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  /** Target of redirects. */
  get blobHost(): string {
    return `127.0.0.1:${this.#ports.blobs}`;
  }

  /** Number of tokens issued so far. */
  get tokens(): number {
    return this.#access?.issued ?? 0;
  }

  /**
   * Open connections, idle ones too. Connections made before this call are accepted first, and their requests recorded.
   */
  async connections(): Promise<number> {
    const counts = Object.values(this.#servers).map(async (server) => {
      await acceptAll(server);
      return new Promise<number>((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      );
    });
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  /** Sets the fault for all further requests; without a parameter, requests are forwarded unchanged. */
  fault(fault: Fault = () => undefined): void {
    this.#fault = fault;
  }

  bytesOf(path: RegExp): number {
    return bytesOf(this.requests, path);
  }

  clearRequests(): void {
    this.requests = [];
  }

  expireUrls(): void {
    this.#urls.clear();
  }

  expireTokens(): void {
    this.#access?.expire();
  }

  /** Resolves when the condition is true; it is checked after each change of a request. @throws after `withinMs` */
  async until(condition: (proxy: this) => boolean, withinMs?: number): Promise<void> {
    const deadline = patienceSignal(withinMs);
    while (!condition(this)) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const fail = () => reject(new Error(`timeout: ${condition}`));
      if (deadline.aborted) fail();
      deadline.addEventListener('abort', fail, { once: true });
      this.#waiting.add(resolve);
      await promise.finally(() => {
        this.#waiting.delete(resolve);
        deadline.removeEventListener('abort', fail);
      });
    }
  }

  /** The link fails: all connections are closed and none is accepted. */
  async down(): Promise<void> {
    await Promise.all(
      Object.values(this.#servers).map(async (server) => {
        if (!server.listening) return;
        const closed = once(server, 'close');
        server.close();
        server.closeAllConnections();
        await closed;
      }),
    );
  }

  /** The link works again, on the same ports. */
  async up(): Promise<void> {
    for (const listener of ['registry', 'blobs'] as const) {
      const server = this.#servers[listener].listen(this.#ports[listener], '127.0.0.1');
      await once(server, 'listening');
      this.#ports[listener] = (server.address() as { port: number }).port;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
    this.#agent.destroy();
  }

  #notify(): void {
    for (const wake of this.#waiting) wake();
  }

  #record(
    listener: RecordedRequest['listener'],
    { method = 'GET', url = '/', headers }: IncomingMessage,
  ): RecordedRequest {
    const { pathname: path, searchParams: query } = new URL(url, this.#target);
    const index = this.requests.filter((seen) => seen.method === method && seen.path === path).length;
    const { range, authorization } = headers;
    const optional = { ...(range && { range }), ...(authorization && { authorization }) };
    const outcome = { status: 0, start: 0, bytes: 0, received: 0, ended: false };
    const seen: RecordedRequest = { listener, method, path, query, headers, ...optional, index, ...outcome };
    this.requests.push(seen);
    this.#notify();
    return seen;
  }

  async #handle(
    listener: RecordedRequest['listener'],
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const seen = this.#record(listener, incoming);
    response.on('close', () => {
      seen.status ||= response.headersSent ? response.statusCode : 0;
      seen.ended = true;
      this.#notify();
    });
    const action = this.#fault(seen) ?? {};
    if (this.latency + (action.delayMs ?? 0) > 0) await sleep(this.latency + (action.delayMs ?? 0));
    if (action.drop) return void incoming.socket.resetAndDestroy();
    if (action.answer) {
      response.writeHead(action.answer.status, action.answer.headers);
      return void response.end(action.answer.body);
    }
    if (listener === 'registry' && this.#access?.handle(incoming, response)) return;
    if (listener === 'blobs' && !this.#useUrl(seen)) return void response.writeHead(403).end('expired');
    if (action.redirect && listener === 'registry' && /^(GET|HEAD)$/.test(seen.method)) {
      const url = this.#signedUrl(
        seen,
        action.redirect === true ? Number.POSITIVE_INFINITY : action.redirect.uses,
      );
      return void response.writeHead(307, { Location: url }).end();
    }
    await this.#forward(seen, action, incoming, response);
  }

  #signedUrl({ path }: RecordedRequest, uses: number): string {
    this.#serial += 1;
    const signature = String(this.#serial);
    this.#urls.set(signature, uses);
    return `http://${this.blobHost}${path}?signature=${signature}`;
  }

  #useUrl({ query }: RecordedRequest): boolean {
    const signature = query.get('signature') ?? '';
    const uses = this.#urls.get(signature) ?? 0;
    this.#urls.set(signature, uses - 1);
    return uses > 0;
  }

  async #forward(
    seen: RecordedRequest,
    action: Action,
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const outgoing = request({
      host: this.#target.hostname,
      port: this.#target.port,
      agent: this.#agent,
      method: seen.method,
      path: seen.listener === 'blobs' ? seen.path : incoming.url,
      headers: this.#headers(incoming, action),
    });
    response.on('close', () => outgoing.destroy());
    const responded = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    // A registry may answer, and even close, before it has read the complete body.
    this.#pump(incoming, outgoing, 'received', seen).catch(() => {});
    outgoing.on('error', () => {});
    const [answer] = await responded;
    await action.hold;
    const headers = answer.headers;
    seen.status = answer.statusCode ?? 0;
    seen.start = Number(/^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1] ?? 0);
    if (action.ignoreRange) delete headers['accept-ranges'];
    if (action.truncateAfter !== undefined) delete headers['content-length'];
    if (action.contentRange) headers['content-range'] = action.contentRange;
    for (const name of hopByHop) delete headers[name];
    response.writeHead(seen.status, headers);
    response.flushHeaders();
    await this.#pump(answer, response, 'bytes', seen, action);
  }

  #pump(
    from: IncomingMessage,
    to: ServerResponse | ClientRequest,
    count: 'bytes' | 'received',
    seen: RecordedRequest,
    action: Interruption = {},
  ): Promise<void> {
    const bodyPacer = new Pacer();
    return pump(
      from,
      to,
      { ...action, corruptAt: (action.corruptAt ?? -1) - seen.start },
      async (bytes) => {
        const { connection, total } = this.bandwidth;
        await bodyPacer.pass(bytes, connection);
        await this.#total.pass(bytes, total);
      },
      (bytes) => {
        seen[count] += bytes;
        this.#notify();
      },
    );
  }

  /** The client's headers, including Host, so that URLs in the registry's answers point to this proxy. */
  #headers({ headers }: IncomingMessage, { ignoreRange }: Action): Record<string, string | string[]> {
    const forwarded = Object.entries(headers).filter(
      ([name, value]) => value !== undefined && !hopByHop.has(name),
    );
    const result = Object.fromEntries(forwarded) as Record<string, string | string[]>;
    if (ignoreRange) delete result.range;
    if (this.#access) delete result.authorization;
    if (headers['transfer-encoding']) result['transfer-encoding'] = 'chunked';
    return result;
  }
}

export const startProxy = FaultProxy.start;

/** A fault for the first `times` requests that match, over all paths together. */
export function first(times: number, path: RegExp, action: Action, method = 'GET'): Fault {
  let remaining = times;
  return (seen) => {
    if (seen.method !== method || !path.test(seen.path) || remaining === 0) return undefined;
    remaining -= 1;
    return action;
  };
}
