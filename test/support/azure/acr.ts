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
import { type Access, allows, type Rights } from './acr-tokens.ts';

/** A stand-in of Azure Container Registry before a real registry: its tokens, its metadata, its data endpoint. */

export type AcrOptions = Logins & { authority: Authority };

export type AcrRequest = {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
};
export const ALL: Rights = { '**': ['*'] };

export class Acr implements AsyncDisposable {
  /** What layers are told. */
  readonly requests: AcrRequest[] = [];
  readonly data: AcrRequest[] = [];
  readonly store: AcrStore;
  /** Answered 429, as often as they say. */
  busy: { path: RegExp; times: number; after: number }[] = [];
  /** No `/acr/v1`, as older or other registries. */
  plain = false;
  readonly #cloud: Cloud;
  readonly #login: AcrLogin;
  readonly #servers: Server[] = [];
  #ahead = 0;
  #ports = { front: 0, data: 0, back: 0 };

  static async start(options: AcrOptions): Promise<Acr> {
    const acr = new Acr(options, await startCloud());
    const { certificateFile, keyFile } = await options.authority.issue('acr');
    const tls = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
    const guarded = (work: typeof acr.front) => (asked: IncomingMessage, answer: ServerResponse) =>
      void work(asked, answer).catch(
        (error) => answer.headersSent || answer.writeHead(502).end(String(error)),
      );
    acr.#ports = {
      front: await acr.#listen(createTlsServer(tls, guarded(acr.front))),
      data: await acr.#listen(createTlsServer(tls, guarded(acr.blobs))),
      back: await acr.#listen(createServer(guarded((asked, answer) => acr.serve(asked, answer)))),
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

  /** Where tests change its content, without a login and TLS. */
  get back(): string {
    return `http://127.0.0.1:${this.#ports.back}`;
  }

  /** All that it issued before ends sooner. */
  advance(ms: number): void {
    this.#ahead += ms;
  }

  switchToAbac(): void {
    this.#login.switchToAbac();
  }

  forget(): void {
    this.requests.length = 0;
    this.data.length = 0;
  }

  asked = (): string[] => this.requests.map(({ method, path }) => `${method} ${path}`);

  async untag(name: string, tag: string): Promise<void> {
    this.store.untag(name, tag);
  }

  async #listen(server: Server): Promise<number> {
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  readonly front = async (asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const { method = 'GET', headers } = asked;
    const { pathname: path, searchParams: query } = new URL(asked.url ?? '/', this.url);
    this.requests.push({ method, path, query, headers });
    const busy = this.busy.find((one) => one.times > 0 && one.path.test(path));
    if (busy) {
      busy.times -= 1;
      answer.writeHead(429, { 'retry-after': String(busy.after) });
      return void answer.end('{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}');
    }
    if (path === '/oauth2/exchange') return this.#login.exchange(await formOf(asked), answer);
    if (path === '/oauth2/token') return this.#login.token(asked, query, answer);
    const wanted = neededFor(method, path);
    if (!allows(this.#login.accessOf(headers.authorization), wanted)) return this.#challenge(wanted, answer);
    if (method === 'GET' && /\/blobs\/sha\d+:/.test(path)) {
      const location = `https://127.0.0.1:${this.#ports.data}${path}?sig=signed`;
      return void answer.writeHead(307, { location }).end();
    }
    return this.serve(asked, answer);
  };

  readonly blobs = async (asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const { pathname: path, searchParams: query } = new URL(asked.url ?? '/', this.url);
    this.data.push({ method: asked.method ?? '', path, query, headers: asked.headers });
    if (asked.headers.authorization) return void answer.writeHead(400).end('InvalidAuthenticationInfo');
    this.#forward(asked, answer, path);
  };

  #challenge({ type, name, actions }: Access, answer: ServerResponse): void {
    const scope = `${type}:${name}:${actions}`;
    const challenge = `Bearer realm="${this.url}/oauth2/token",service="${this.host}",scope="${scope}"`;
    const detail = [{ Type: type, Name: name, Action: actions[0] }];
    answer.setHeader('www-authenticate', challenge);
    json(answer, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required', detail }] });
  }

  /** What is left once it is known that the caller may. */
  async serve(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { store, plain } = this;
    const { method = 'GET' } = asked;
    const url = new URL(asked.url ?? '/', this.url);
    const { pathname: path } = url;
    if (
      metadata({ store, plain, method, url }, (status, body, link) => {
        if (link) answer.setHeader('link', `<${link}>; rel="next"`);
        json(answer, status, body);
      })
    )
      return;
    const [, name = '', reference = ''] = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(path) ?? [];
    if (!name) return this.#forward(asked, answer, `${path}${url.search}`);
    const locked = store.repositories.get(name)?.locked;
    if ((method === 'PUT' || method === 'DELETE') && locked?.has(reference)) {
      const message = 'The operation is disallowed on this registry, repository or image.';
      return json(answer, 405, { errors: [{ code: 'UNSUPPORTED', message }] });
    }
    const body = method === 'PUT' ? await bodyOf(asked) : undefined;
    const digest = body ? reference : store.digestOf(name, reference);
    if (!digest) return json(answer, 404, { errors: [{ code: 'MANIFEST_UNKNOWN', message: 'unknown' }] });
    this.#forward(asked, answer, `/v2/${name}/manifests/${digest}`, body, () => {
      if (method === 'DELETE') store.remove(name, digest);
      if (!body) return;
      const { subject } = store.put(name, reference, asked.headers['content-type'] ?? '', body);
      if (subject) answer.setHeader('oci-subject', subject);
    });
  }

  #forward(
    asked: IncomingMessage,
    answer: ServerResponse,
    path: string,
    body?: Buffer,
    done?: () => void,
  ): void {
    const { authorization: _, ...headers } = asked.headers;
    const proto = 'encrypted' in asked.socket ? 'https' : 'http';
    const to = { host: '127.0.0.1', port: this.#cloud.port, path, method: asked.method ?? 'GET' };
    const up = request({ ...to, headers: { ...headers, 'x-forwarded-proto': proto } }, (came) => {
      if ((came.statusCode ?? 500) < 300) done?.();
      answer.writeHead(came.statusCode ?? 502, came.headers);
      came.pipe(answer);
    });
    up.on('error', () => answer.destroy());
    if (body) up.end(body);
    else asked.pipe(up);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      (server as ReturnType<typeof createServer>).closeAllConnections();
      server.close();
    }
    await this.#cloud[Symbol.asyncDispose]();
  }
}

function neededFor(method: string, path: string): Access {
  const reads = method === 'GET' || method === 'HEAD';
  if (/^\/(v2\/?|(v2|acr\/v1)\/_catalog)$/.test(path))
    return { type: 'registry', name: 'catalog', actions: ['*'] };
  const [, own] = /^\/acr\/v1\/(.+?)(?:\/_(?:tags|manifests)(?:\/[^/]+)?)?$/.exec(path) ?? [];
  if (own) return { type: 'repository', name: own, actions: [reads ? 'metadata_read' : 'delete'] };
  const [, name = ''] = /^\/v2\/(.+?)\/(?:manifests|blobs|tags|referrers)\//.exec(path) ?? [];
  return { type: 'repository', name, actions: [reads ? 'pull' : method === 'DELETE' ? 'delete' : 'push'] };
}
