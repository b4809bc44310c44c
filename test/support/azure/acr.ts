import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import type { Authority } from '../certificates.ts';
import { type Cloud, startCloud } from '../registry/cloud.ts';
import { AcrLogin, bodyOf, formOf, json, type Logins } from './acr-login.ts';
import { metadata } from './acr-metadata.ts';
import { AcrStore } from './acr-store.ts';
import { type Access, isAllowed, type Rights } from './acr-tokens.ts';

/** A stand-in for Azure Container Registry in front of a real registry: tokens, metadata and data endpoint. */

export type AcrOptions = Logins & { authority: Authority };

export type AcrRequest = {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
};
export const ALL: Rights = { '**': ['*'] };

export class Acr implements AsyncDisposable {
  /** Requests of layers, in order. */
  readonly requests: AcrRequest[] = [];
  /** Requests to the data endpoint, in order. */
  readonly dataRequests: AcrRequest[] = [];
  readonly store: AcrStore;
  /** Paths that are answered 429, that many times. `after`: Retry-After, in s. */
  throttled: { path: RegExp; times: number; after: number }[] = [];
  /** Paths that are answered with a refusal. */
  failing: RegExp | undefined;
  /** Without `/acr/v1`, like older or other registries. */
  plain = false;
  readonly #cloud: Cloud;
  readonly #login: AcrLogin;
  readonly #servers: Server[] = [];
  #ahead = 0;
  #ports = { front: 0, dataRequests: 0, backendUrl: 0 };

  static async start(options: AcrOptions): Promise<Acr> {
    const acr = new Acr(options, await startCloud());
    const { certificateFile, keyFile } = await options.authority.issue('acr');
    const tls = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
    const guarded = (work: typeof acr.front) => (incoming: IncomingMessage, response: ServerResponse) =>
      void work(incoming, response).catch(
        (error) => response.headersSent || response.writeHead(502).end(String(error)),
      );
    acr.#ports = {
      front: await acr.#listen(createTlsServer(tls, guarded(acr.front))),
      dataRequests: await acr.#listen(createTlsServer(tls, guarded(acr.blobs))),
      backendUrl: await acr.#listen(
        createServer(guarded((incoming, response) => acr.serve(incoming, response))),
      ),
    };
    acr.#login.host = acr.host;
    return acr;
  }

  private constructor(options: AcrOptions, cloud: Cloud) {
    this.#cloud = cloud;
    const now = () => Date.now() + this.#ahead;
    this.#login = new AcrLogin(options, now);
    this.store = new AcrStore(now);
  }

  get host(): string {
    return `127.0.0.1:${this.#ports.front}`;
  }

  get url(): string {
    return `https://${this.host}`;
  }

  /** URL by which tests change its content, without a login and TLS. */
  get backendUrl(): string {
    return `http://127.0.0.1:${this.#ports.backendUrl}`;
  }

  /** Advances its clock, so that issued tokens expire earlier. */
  advance(ms: number): void {
    this.#ahead += ms;
  }

  switchToAbac(): void {
    this.#login.switchToAbac();
  }

  clearRequests(): void {
    this.requests.length = 0;
    this.dataRequests.length = 0;
  }

  /** The requests of layers, as `GET /v2/`. */
  requestLines = (): string[] => this.requests.map(({ method, path }) => `${method} ${path}`);

  async untag(name: string, tag: string): Promise<void> {
    this.store.untag(name, tag);
  }

  async #listen(server: Server): Promise<number> {
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  readonly front = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = 'GET', headers } = incoming;
    const { pathname: path, searchParams: query } = new URL(incoming.url ?? '/', this.url);
    this.requests.push({ method, path, query, headers });
    const throttled = this.throttled.find((one) => one.times > 0 && one.path.test(path));
    if (throttled) {
      throttled.times -= 1;
      response.writeHead(429, { 'retry-after': String(throttled.after) });
      return void response.end('{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}');
    }
    if (this.failing?.test(path)) {
      return json(response, 403, { errors: [{ code: 'DENIED', message: 'denied' }] });
    }
    if (path === '/oauth2/exchange') return this.#login.exchange(await formOf(incoming), response);
    if (path === '/oauth2/token') return this.#login.token(incoming, query, response);
    const required = requiredAccess(method, path);
    if (!isAllowed(this.#login.accessOf(headers.authorization), required))
      return this.#challenge(required, response);
    if (method === 'GET' && /\/blobs\/sha\d+:/.test(path)) {
      const location = `https://127.0.0.1:${this.#ports.dataRequests}${path}?sig=signed`;
      return void response.writeHead(307, { location }).end();
    }
    return this.serve(incoming, response);
  };

  readonly blobs = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname: path, searchParams: query } = new URL(incoming.url ?? '/', this.url);
    this.dataRequests.push({ method: incoming.method ?? '', path, query, headers: incoming.headers });
    if (incoming.headers.authorization) return void response.writeHead(400).end('InvalidAuthenticationInfo');
    this.#forward(incoming, response, path);
  };

  #challenge({ type, name, actions }: Access, response: ServerResponse): void {
    const scope = `${type}:${name}:${actions}`;
    const challenge = `Bearer realm="${this.url}/oauth2/token",service="${this.host}",scope="${scope}"`;
    const detail = [{ Type: type, Name: name, Action: actions[0] }];
    response.setHeader('www-authenticate', challenge);
    json(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required', detail }] });
  }

  /** Answers a request that is authorized. */
  async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { store, plain } = this;
    const { method = 'GET' } = incoming;
    const url = new URL(incoming.url ?? '/', this.url);
    const { pathname: path } = url;
    if (
      metadata({ store, plain, method, url }, (status, body, link) => {
        if (link) response.setHeader('link', `<${link}>; rel="next"`);
        json(response, status, body);
      })
    )
      return;
    const [, name = '', reference = ''] = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(path) ?? [];
    if (!name) return this.#forward(incoming, response, `${path}${url.search}`);
    const locked = store.repositories.get(name)?.locked;
    if ((method === 'PUT' || method === 'DELETE') && locked?.has(reference)) {
      const message = 'The operation is disallowed on this registry, repository or image.';
      return json(response, 405, { errors: [{ code: 'UNSUPPORTED', message }] });
    }
    const body = method === 'PUT' ? await bodyOf(incoming) : undefined;
    const digest = body ? reference : store.digestOf(name, reference);
    if (!digest) return json(response, 404, { errors: [{ code: 'MANIFEST_UNKNOWN', message: 'unknown' }] });
    this.#forward(incoming, response, `/v2/${name}/manifests/${digest}`, body, () => {
      if (method === 'DELETE') store.remove(name, digest);
      if (!body) return;
      const { subject } = store.put(name, reference, incoming.headers['content-type'] ?? '', body);
      if (subject) response.setHeader('oci-subject', subject);
    });
  }

  #forward(
    incoming: IncomingMessage,
    response: ServerResponse,
    path: string,
    body?: Buffer,
    done?: () => void,
  ): void {
    const { authorization: _, ...headers } = incoming.headers;
    const proto = 'encrypted' in incoming.socket ? 'https' : 'http';
    const to = { host: '127.0.0.1', port: this.#cloud.port, path, method: incoming.method ?? 'GET' };
    const outgoing = request({ ...to, headers: { ...headers, 'x-forwarded-proto': proto } }, (upstream) => {
      if ((upstream.statusCode ?? 500) < 300) done?.();
      response.writeHead(upstream.statusCode ?? 502, upstream.headers);
      upstream.pipe(response);
    });
    outgoing.on('error', () => response.destroy());
    if (body) outgoing.end(body);
    else incoming.pipe(outgoing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      (server as ReturnType<typeof createServer>).closeAllConnections();
      server.close();
    }
    await this.#cloud[Symbol.asyncDispose]();
  }
}

function requiredAccess(method: string, path: string): Access {
  const isRead = method === 'GET' || method === 'HEAD';
  if (/^\/(v2\/?|(v2|acr\/v1)\/_catalog)$/.test(path))
    return { type: 'registry', name: 'catalog', actions: ['*'] };
  const [, repository] = /^\/acr\/v1\/(.+?)(?:\/_(?:tags|manifests)(?:\/[^/]+)?)?$/.exec(path) ?? [];
  if (repository)
    return { type: 'repository', name: repository, actions: [isRead ? 'metadata_read' : 'delete'] };
  const [, name = ''] = /^\/v2\/(.+?)\/(?:manifests|blobs|tags|referrers)\//.exec(path) ?? [];
  return { type: 'repository', name, actions: [isRead ? 'pull' : method === 'DELETE' ? 'delete' : 'push'] };
}
