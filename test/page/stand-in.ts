import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import { registerPageRoutes } from '../../services/gateway/page/page-routes.ts';
import type { Gateway } from '../../services/gateway/routes/resource.ts';
import { event, manifest, manifestHistory, repositories, tagsPage } from './content.ts';
import { type Day, day } from './days.ts';

/**
 * Serves the page as a gateway does, and answers of the API from `days.ts`: for what a layer can't show on request,
 * such as 10,000 tags, 1,000 events a second, or a gateway that comes and goes.
 */
export class StandIn implements AsyncDisposable {
  readonly url: string;
  /** `METHOD path` of each change that was requested, with the header that a change needs. */
  readonly changes: string[] = [];
  /** Connections of event streams, with the query of each. */
  readonly streams: URLSearchParams[] = [];
  day: Day;
  kind: 'good' | 'bad';
  /** Whether it is logged in; `undefined`: an open layer. */
  account: string | undefined;
  isLoggedIn = true;
  /** Every connection is closed at once. */
  isCut = false;
  /** Status with which a proxy before the layer answers a path of the API in its place; `*`: all other paths. */
  readonly statuses = new Map<string, number>();
  sequence = 4_211;
  /** Paths that were requested, in order. */
  readonly requests: string[] = [];
  /** Paths and queries that were answered, in order. */
  readonly reads: string[] = [];
  readonly #server: ReturnType<typeof createServer>;
  readonly #open = new Set<ServerResponse>();

  static async start(kind: 'good' | 'bad' = 'good', port = 0): Promise<StandIn> {
    const app = fastify({ exposeHeadRoutes: false });
    registerPageRoutes(app, { access: { check() {} } } as unknown as Gateway);
    await app.ready();
    const holder: { standIn?: StandIn } = {};
    const server = createServer((request, response) => {
      const standIn = holder.standIn as StandIn;
      if (standIn.isCut) request.socket.destroy();
      else if (request.url?.startsWith('/api/v1/')) standIn.#answer(request, response);
      else app.routing(request, response);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    holder.standIn = new StandIn(server, kind);
    return holder.standIn;
  }

  private constructor(server: ReturnType<typeof createServer>, kind: 'good' | 'bad') {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.kind = kind;
    this.day = day(kind);
  }

  /** Ends all connections, and accepts none until `isCut` is false again. */
  cut(): void {
    this.isCut = true;
    this.#server.closeAllConnections();
  }

  /** A proxy answers all of the API, and ends the streams. */
  restart(status: number): void {
    this.statuses.set('*', status);
    for (const stream of this.#open) stream.destroy();
  }

  /** Sends the next events to every open stream. */
  emit(count = 1): void {
    for (let index = 0; index < count; index += 1) {
      this.sequence += 1;
      const text = `id: ${this.sequence}\ndata: ${JSON.stringify(event(this.sequence))}\n\n`;
      for (const stream of this.#open) stream.write(text);
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): unknown {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    const path = pathname.slice('/api/v1'.length);
    this.requests.push(path);
    const status = this.statuses.get(path) ?? this.statuses.get('*');
    if (status !== undefined) return response.writeHead(status).end('<h1>Bad Gateway</h1>');
    if (request.method !== 'GET') {
      this.changes.push(`${request.method} ${path} ${request.headers['x-terrace-request'] ?? ''}`);
      if (path === '/session') this.isLoggedIn = request.method === 'POST';
      return send(response, 200, this.#changeOf(path));
    }
    if (!this.isLoggedIn) return send(response, 401, refusal('UNAUTHORIZED', 'authentication required'));
    if (path === '/events/stream') return this.#stream(searchParams, response);
    this.reads.push(`${path}?${searchParams}`);
    const answer = this.#read(path, searchParams);
    return answer
      ? send(response, 200, answer)
      : send(response, 404, refusal('NAME_UNKNOWN', 'no such path'));
  }

  #changeOf(path: string): object {
    if (path === '/session') return this.#session();
    if (path === '/sync') return { pass: '01JDT2K0PASS' };
    return { started: true };
  }

  #session() {
    const may = this.account === 'wall' ? ['operate/read'] : ['operate/read', 'operate/write'];
    return { name: this.account ?? '', may, open: this.account === undefined };
  }

  #read(path: string, query: URLSearchParams): object | undefined {
    const { layer, link, layers, transfers, throughput, parked, passes, accounts, configuration } = this.day;
    const offset = Number(query.get('after') ?? 0);
    const [, repository = '', reference] =
      /^\/repositories\/(.+?)\/(?:tags|manifests\/(.+))$/.exec(path) ?? [];
    if (reference) return reference.endsWith('/history') ? manifestHistory() : manifest(repository);
    if (repository) return tagsPage(10_000, offset, Number(query.get('limit') ?? 100));
    const shifted = { ...layer, now: Date.now() };
    const answers: Record<string, object> = {
      '/session': this.#session(),
      '/layer': shifted,
      '/link': link,
      '/layers': layers,
      '/transfers': transfers,
      '/throughput': throughput,
      '/parked': parked,
      '/passes': passes,
      '/accounts': accounts,
      '/configuration': configuration,
      '/repositories': repositories(this.kind === 'bad'),
      '/events': {
        items: Array.from({ length: 60 }, (_, index) =>
          event(this.sequence - 59 + index, Date.now() - (60 - index) * 9_000),
        ),
        next: this.sequence,
        more: false,
      },
    };
    return answers[path];
  }

  #stream(query: URLSearchParams, response: ServerResponse): void {
    this.streams.push(query);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(': open\n\n');
    this.#open.add(response);
    response.once('close', () => this.#open.delete(response));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

const refusal = (code: string, message: string) => ({ errors: [{ code, message }] });

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}
