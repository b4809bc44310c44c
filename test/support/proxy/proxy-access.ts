import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Account } from '../registry/cloud.ts';

export type AccessOptions = { basic: Account } | { bearer: { account?: Account; lifetimeMs?: number } };

type Token = { scopes: string[]; expires: number };

/** Access control of a registry: Basic, or Bearer tokens (distribution token protocol). */
export class AccessControl {
  readonly #options: AccessOptions;
  readonly #tokens = new Map<string, Token>();
  /** Number of issued tokens. */
  issued = 0;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /** Invalidates all issued tokens. */
  expire(): void {
    this.#tokens.clear();
  }

  /** @returns true if it has answered the request, with a challenge or a token */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`);
    if ('basic' in this.#options) {
      if (isAccount(request, this.#options.basic)) return false;
      return challenge(response, 'Basic realm="proxy"');
    }
    if (url.pathname === '/token') return this.#token(url, request, response, this.#options.bearer);
    const scope = scopeOf(request.method ?? 'GET', url.pathname);
    const [, value] = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const token = value ? this.#tokens.get(value) : undefined;
    const valid = token && token.expires > Date.now();
    if (valid && (!scope || token.scopes.some((granted) => covers(granted, scope)))) return false;
    const error = token ? `,error="${valid ? 'insufficient_scope' : 'invalid_token'}"` : '';
    const required = scope ? `,scope="${scope}"` : '';
    return challenge(response, `Bearer realm="${url.origin}/token",service="proxy"${required}${error}`);
  }

  #token(
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
    { account, lifetimeMs = 60_000 }: { account?: Account; lifetimeMs?: number },
  ): true {
    if (account && !isAccount(request, account)) return challenge(response, 'Basic realm="proxy"');
    const token = randomUUID();
    const scopes = url.searchParams.getAll('scope').flatMap((scope) => scope.split(' '));
    this.#tokens.set(token, { scopes, expires: Date.now() + lifetimeMs });
    this.issued += 1;
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ token, expires_in: Math.max(1, Math.floor(lifetimeMs / 1_000)) }));
    return true;
  }
}

function challenge(response: ServerResponse, header: string): true {
  const error = { code: 'UNAUTHORIZED', message: 'authentication required', detail: null };
  response.writeHead(401, { 'Content-Type': 'application/json', 'WWW-Authenticate': header });
  response.end(JSON.stringify({ errors: [error] }));
  return true;
}

const isAccount = ({ headers }: IncomingMessage, { username, password }: Account) =>
  headers.authorization === `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

/** The required scope, such as `repository:a/b:pull`; undefined if any token is enough. */
function scopeOf(method: string, path: string): string | undefined {
  if (path.startsWith('/v2/_catalog')) return 'registry:catalog:*';
  const [, repository] = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path) ?? [];
  if (!repository) return undefined;
  const action = method === 'GET' || method === 'HEAD' ? 'pull' : method === 'DELETE' ? 'delete' : 'push';
  return `repository:${repository}:${action}`;
}

function covers(granted: string, required: string): boolean {
  const requiredEnd = required.lastIndexOf(':');
  const grantedEnd = granted.lastIndexOf(':');
  if (granted.slice(0, grantedEnd) !== required.slice(0, requiredEnd)) return false;
  const actions = granted.slice(grantedEnd + 1).split(',');
  return actions.includes('*') || actions.includes(required.slice(requiredEnd + 1));
}
