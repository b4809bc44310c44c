import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { ServerOptions, Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { answerClientError } from './errors.ts';
import { listenComplaint, parseListen } from './listen-address.ts';

const { createServer } = process.getBuiltinModule('node:http');

/** Paths of operators: the API, the page and the metrics. */
const OWN = /^\/(?:[?]|$|api\/|ui(?:[/?]|$)|metrics(?:[?]|$)|favicon)/;
/** Further paths that the listener of operators serves: logins of programs, and the health check. */
const SHARED = /^\/(?:v2\/token|healthz)(?:[?]|$)/;
/** Has no route. */
const NOWHERE = '/-/not-on-this-listener';

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

  /** The path of a request, or one without a route if its listener does not serve it. */
  reachable(request: IncomingMessage): string {
    const url = request.url ?? '/';
    if (this.#options.listen() === undefined) return url;
    const isServed = this.isOwn(request) ? OWN.test(url) || SHARED.test(url) : !OWN.test(url);
    return isServed ? url : NOWHERE;
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
