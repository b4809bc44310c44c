import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { ServerOptions, Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { answerClientError } from './errors.ts';
import { listenComplaint, parseListen } from './listen-address.ts';
import { HEALTH_PATH } from './login-server.ts';

const { createServer } = process.getBuiltinModule('node:http');

/** Routes that both listeners serve: logins of programs, and the health check. */
const SHARED: readonly string[] = ['/v2/token', HEALTH_PATH];
/** Routes of clients: content, and the logins of Azure's. All others are those of operators: API, page and metrics. */
const OF_CLIENTS = /^\/(?:v2|acr|oauth2)(?:\/|$)/;

const RETRY = { firstMs: 1_000, maxMs: 30_000 };

type Route = (request: IncomingMessage, response: ServerResponse) => void;

export type OperatorsOptions = {
  log: Log;
  /** `operate.listen` of the configuration in force. */
  listen: () => string | undefined;
  /** Options of the servers; with TLS, those of its certificate, too. */
  server: ServerOptions;
  isTls: boolean;
};

/**
 * The listener of operators, if the configuration names one (`operate.listen`): API, page and metrics are then served
 * there alone, and nothing else. It serves the same routes as that of clients, with the same certificate; which paths a
 * request may reach depends on the listener that it came to.
 */
export class Operators implements AsyncDisposable {
  readonly #options: OperatorsOptions;
  #route: Route | undefined;
  #server: Server | TlsServer | undefined;
  #context: SecureContextOptions | undefined;
  #listen: string | undefined;
  #applying: AbortController | undefined;

  constructor(options: OperatorsOptions) {
    this.#options = options;
  }

  /** What answers requests: the router of the gateway. */
  serve(route: Route): void {
    this.#route = route;
  }

  /** Whether the request came to the listener of operators. */
  isOwn({ socket }: IncomingMessage): boolean {
    return this.#server !== undefined && (socket as { server?: unknown }).server === this.#server;
  }

  /** Whether no other machine reaches the paths of operators by a listener of their own. */
  get isLocal(): boolean {
    const listen = this.#options.listen();
    return listen === undefined || isLoopback(parseListen(listen).host);
  }

  /** Whether the listener that the request came to serves its route: a path may be written in several ways. */
  serves({ raw, routeOptions: { url } }: FastifyRequest): boolean {
    if (this.#options.listen() === undefined || url === undefined || SHARED.includes(url)) return true;
    return OF_CLIENTS.test(url) !== this.isOwn(raw);
  }

  /** Address of the listener while it listens. */
  get address(): AddressInfo | undefined {
    return this.#server?.listening ? (this.#server.address() as AddressInfo) : undefined;
  }

  setSecureContext(options: SecureContextOptions): void {
    this.#context = options;
    if (this.#server && 'setSecureContext' in this.#server) this.#server.setSecureContext(options);
  }

  /**
   * Listens there from now on, and nowhere else; retries while that fails.
   * @param mayListen resolves once the address may be served: one that other machines reach needs an account
   */
  apply(
    listen: string | undefined,
    mayListen: (listen: string, signal: AbortSignal) => Promise<boolean>,
    reusePort = false,
  ): void {
    if (listen === this.#listen) return;
    this.#listen = listen;
    this.#applying?.abort();
    this.#close();
    if (listen === undefined) return;
    const applying = new AbortController();
    this.#applying = applying;
    const begin = async (failures: number): Promise<void> => {
      if (!(await mayListen(listen, applying.signal)) || applying.signal.aborted) return;
      try {
        await this.#open(listen, reusePort);
        this.#options.log.info({ listen }, 'operators are served on an address of their own');
      } catch (error) {
        const ms = backoffMs(failures + 1, RETRY);
        const reason = listenComplaint(error as NodeJS.ErrnoException, listen);
        this.#options.log.error({ reason, ms }, 'operators are not served; retrying');
        setTimeout(() => !applying.signal.aborted && void begin(failures + 1), ms).unref();
      }
    };
    void begin(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#applying?.abort();
    this.#close();
  }

  async #open(listen: string, reusePort: boolean): Promise<void> {
    const { server: options, isTls } = this.#options;
    const onRequest: Route = (request, response) => this.#route?.(request, response);
    const server = isTls
      ? process.getBuiltinModule('node:https').createServer({ ...options, ...this.#context }, onRequest)
      : createServer(options, onRequest);
    server.requestTimeout = 0;
    server.keepAliveTimeout = 75_000;
    server.on('clientError', answerClientError);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject).listen({ ...parseListen(listen), ...(reusePort && { reusePort }) }, resolve);
    await promise;
    server.off('error', reject).on('error', (err) => this.#options.log.error({ err }, 'listener failed'));
    if (this.#listen === listen) this.#server = server;
    else server.close();
  }

  #close(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
    this.#server = undefined;
  }
}
