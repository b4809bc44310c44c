import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Access, grantAccess, type Holder, Issuer, type Rights } from './acr-tokens.ts';

/** `/oauth2` of the stand-in for Azure Container Registry. */

export type Logins = {
  /** The client id of an Entra token; undefined if the token is not valid. */
  identify?: (token: string) => string | undefined;
  /** Rights by client id. */
  identities?: Record<string, Rights>;
  /** Admin user and repository-scoped tokens. */
  holders?: Holder[];
  abac?: boolean;
};

const REFRESH_S = 3 * 3_600;
const ACCESS_S = 4_500;

export class AcrLogin {
  abac: boolean;
  /** The name of the registry. */
  host = '';
  readonly #options: Logins;
  readonly #issuer: Issuer;
  /** Tokens of earlier epochs are not valid. */
  #epoch = 0;

  constructor(options: Logins, now: () => number) {
    this.#options = options;
    this.abac = options.abac ?? false;
    this.#issuer = new Issuer(now);
  }

  switchToAbac(): void {
    this.abac = true;
    this.#epoch += 1;
  }

  async exchange(form: URLSearchParams, response: ServerResponse): Promise<void> {
    const client = this.#options.identify?.(form.get('access_token') ?? '');
    if (form.get('grant_type') !== 'access_token' || form.get('service') !== this.host || !client) {
      return json(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] });
    }
    const claims = { client, epoch: this.#epoch, ...(this.abac && { aad_identity: client }) };
    return json(response, 200, { refresh_token: this.#issuer.issue(claims, REFRESH_S) });
  }

  async token(incoming: IncomingMessage, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const form = incoming.method === 'POST' ? await formOf(incoming) : query;
    const rights =
      incoming.method === 'POST'
        ? this.#rightsOf(form.get('refresh_token') ?? '')
        : this.#holder(incoming.headers.authorization)?.rights;
    if (!rights) {
      return json(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] });
    }
    const access = grantAccess(form.getAll('scope'), rights, this.abac);
    const token = this.#issuer.issue({ access, epoch: this.#epoch }, ACCESS_S);
    return json(response, 200, { access_token: token });
  }

  #rightsOf(refresh: string): Rights | undefined {
    const claims = this.#issuer.read(refresh);
    return claims?.epoch === this.#epoch ? this.#options.identities?.[claims.client] : undefined;
  }

  #holder(authorization: string | undefined): Holder | undefined {
    const login = Buffer.from(authorization?.replace(/^Basic /, '') ?? '', 'base64').toString();
    return this.#options.holders?.find(
      ({ account }) => account && login === `${account.username}:${account.password}`,
    );
  }

  accessOf(authorization: string | undefined): Access[] {
    const claims = this.#issuer.read(authorization?.replace(/^Bearer /, '') ?? '');
    return claims?.epoch === this.#epoch ? claims.access : [];
  }
}

export function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}

export const bodyOf = async (incoming: IncomingMessage): Promise<Buffer> =>
  Buffer.concat(await incoming.toArray());
export const formOf = async (incoming: IncomingMessage) =>
  new URLSearchParams((await bodyOf(incoming)).toString());
