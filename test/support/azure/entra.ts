import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import type { Authority } from '../certificates.ts';
import { formOf, json } from './acr-login.ts';
import { Issuer } from './acr-tokens.ts';

/** A stand-in for the authority of Microsoft Entra, and for the managed identity endpoint of a machine. */

const RESOURCE = 'https://containerregistry.azure.net';

export type EntraOptions = {
  authority: Authority;
  tenant: string;
  /** Client secrets by client id. */
  secrets?: Record<string, string>;
  /** Tokens of workloads by client id. */
  assertions?: Record<string, string>;
  /** The client id of the machine's identity. */
  machine?: string;
};

export class Entra implements AsyncDisposable {
  readonly requests: string[] = [];
  /** Lifetime of its tokens, in s. No library caches tokens that expire within five minutes. */
  life = 3_600;
  /** Answered instead of any token. */
  failure: { status: number; body: object } | undefined;
  readonly #options: EntraOptions;
  readonly #issuer = new Issuer();
  readonly #servers: Server[] = [];
  #ports = { authority: 0, machine: 0 };

  static async start(options: EntraOptions): Promise<Entra> {
    const entra = new Entra(options);
    const { certificateFile, keyFile } = await options.authority.issue('entra');
    const tls = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
    entra.#ports = {
      authority: await entra.#listen(createTlsServer(tls, entra.#authority)),
      machine: await entra.#listen(createServer(entra.#machine)),
    };
    return entra;
  }

  private constructor(options: EntraOptions) {
    this.#options = options;
  }

  get authorityHost(): string {
    return `https://127.0.0.1:${this.#ports.authority}`;
  }

  /** Environment variables by which the managed identity endpoint is found. */
  get env(): Record<string, string> {
    return { AZURE_POD_IDENTITY_AUTHORITY_HOST: `http://127.0.0.1:${this.#ports.machine}` };
  }

  /** The client id of a token. */
  identify = (token: string): string | undefined => this.#issuer.read(token)?.appid;

  async #listen(server: Server, port = 0): Promise<number> {
    this.#servers.push(server);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  readonly #authority = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname: path } = new URL(incoming.url ?? '/', this.authorityHost);
    this.requests.push(path);
    const { tenant } = this.#options;
    const base = `${this.authorityHost}/${tenant}`;
    if (path.endsWith('/.well-known/openid-configuration')) {
      return json(response, 200, {
        token_endpoint: `${base}/oauth2/v2.0/token`,
        authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
        issuer: `${base}/v2.0`,
        jwks_uri: `${base}/discovery/v2.0/keys`,
      });
    }
    if (path === '/common/discovery/instance') {
      const host = new URL(this.authorityHost).host;
      const metadata = [{ preferred_network: host, preferred_cache: host, aliases: [host] }];
      const endpoint = `${base}/v2.0/.well-known/openid-configuration`;
      return json(response, 200, { tenant_discovery_endpoint: endpoint, 'api-version': '1.1', metadata });
    }
    if (path !== `/${tenant}/oauth2/v2.0/token`) return json(response, 404, {});
    const form = await formOf(incoming);
    if (this.failure) return json(response, this.failure.status, this.failure.body);
    const client = form.get('client_id') ?? '';
    const { secrets = {}, assertions = {} } = this.#options;
    const secret = form.get('client_secret');
    const assertion = form.get('client_assertion');
    const isValid =
      (secret !== null && secret === secrets[client]) ||
      (assertion !== null && assertion === assertions[client]);
    if (!isValid) {
      const description = `AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value. Trace ID: 1 Correlation ID: 2 Timestamp: 3`;
      return json(response, 401, { error: 'invalid_client', error_description: description });
    }
    if (form.get('scope')?.split(' ').includes(`${RESOURCE}/.default`) !== true)
      return json(response, 400, {});
    return json(response, 200, {
      token_type: 'Bearer',
      expires_in: this.life,
      access_token: this.#issue(client),
    });
  };

  readonly #machine = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname: path, searchParams: query } = new URL(incoming.url ?? '/', 'http://x');
    this.requests.push(path);
    const { machine } = this.#options;
    const clientId = query.get('client_id');
    const matches =
      machine && (clientId === null || clientId === machine) && incoming.headers.metadata === 'true';
    if (
      !/^\/metadata\/identity\/oauth2\/token\/?$/.test(path) ||
      !matches ||
      query.get('resource') !== RESOURCE
    ) {
      return json(response, 400, { error: 'invalid_request', error_description: 'Identity not found' });
    }
    if (this.failure) return json(response, this.failure.status, this.failure.body);
    const token = this.#issue(machine);
    const expires_on = String(Math.floor(Date.now() / 1_000) + this.life);
    return json(response, 200, {
      access_token: token,
      expires_in: String(this.life),
      expires_on,
      resource: RESOURCE,
    });
  };

  #issue = (appid: string) => this.#issuer.issue({ appid, aud: RESOURCE, tid: this.#options.tenant }, 3_600);

  /** Closes both endpoints until `up`. */
  async down(): Promise<void> {
    for (const server of this.#servers) {
      (server as ReturnType<typeof createServer>).closeAllConnections();
      server.close();
    }
    this.#servers.length = 0;
  }

  async up(): Promise<void> {
    const { certificateFile, keyFile } = await this.#options.authority.issue('entra');
    const tls = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
    await this.#listen(createTlsServer(tls, this.#authority), this.#ports.authority);
    await this.#listen(createServer(this.#machine), this.#ports.machine);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}
