import { equal } from 'node:assert/strict';
import { changeToken, createToken, deleteToken, putScopeMap, rotateToken } from '#proto/accounts/accounts.ts';
import type { RepositoryAction } from '#proto/accounts/scopes.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { until } from '../support/until.ts';
import type { GatewayRig } from './gateway-rig.ts';

/** Creates and changes tokens of a layer through the same requests as the command line. */
export class Tokens {
  readonly #layer: GatewayRig;
  readonly #operator: Bus;

  static async of(layer: GatewayRig): Promise<Tokens> {
    return new Tokens(layer, await layer.testBus.connect('operator'));
  }

  private constructor(layer: GatewayRig, operator: Bus) {
    this.#layer = layer;
    this.#operator = operator;
  }

  /** @returns its password */
  async create(name: string, actions: string[], expires?: number): Promise<string> {
    const query = { name, actions, ...(expires !== undefined && { expires }) };
    return (await this.#settled(this.#operator.call(createToken, query))).password;
  }

  /** A token whose password expires soon, and a Bearer token issued for it. `expired` resolves once it has expired. */
  async expiring(name: string, actions: string[], ...scopes: string[]) {
    for (let ms = 1_000; ; ms *= 2) {
      const expires = Date.now() + ms;
      const headers = basic(name, await this.create(name, actions, expires));
      const query = new URLSearchParams(scopes.map((scope): [string, string] => ['scope', scope]));
      const response = await this.#layer.fetch('GET', `/v2/token?${query}`, { headers });
      const { token } = (await response.json()) as { token: string };
      const expired = () => until(() => Date.now() > expires);
      if (response.status === 200) return { headers, bearerHeaders: bearer(token), expired };
      // On a slow machine the password may expire before it is used: try a longer lifetime.
      equal(response.status, 401);
      equal(Date.now() > expires, true);
      await this.delete(name);
    }
  }

  /** @returns the new password1 */
  async rotate(name: string): Promise<string> {
    return (await this.#settled(this.#operator.call(rotateToken, { name, password: 'password1' }))).password;
  }

  /** @returns password2 */
  async rotateSecond(name: string): Promise<string> {
    return (await this.#settled(this.#operator.call(rotateToken, { name, password: 'password2' }))).password;
  }

  async enable(name: string, enabled: boolean): Promise<void> {
    await this.#settled(this.#operator.call(changeToken, { name, enabled }));
  }

  async scope(name: string, actions: string[]): Promise<void> {
    await this.#settled(this.#operator.call(putScopeMap, { name, actions }));
  }

  async delete(name: string): Promise<void> {
    await this.#settled(this.#operator.call(deleteToken, { name }));
  }

  /** The server answers the flush after it has delivered the event of the change, so the gateway has received that. */
  async #settled<T>(change: Promise<T>): Promise<T> {
    const answer = await change;
    await this.#layer.bus.flush();
    return answer;
  }
}

export const on = (pattern: string, ...actions: RepositoryAction[]): string[] =>
  actions.map((action) => `repositories/${pattern}/${action}`);

export const ALL: RepositoryAction[] = [
  'content/read',
  'content/write',
  'content/delete',
  'metadata/read',
  'metadata/write',
];

export const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
});

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Requests a Bearer token for the scopes with the credentials. */
export async function tokenFor(
  layer: GatewayRig,
  headers: Record<string, string>,
  ...scopes: string[]
): Promise<string> {
  const query = new URLSearchParams(scopes.map((scope): [string, string] => ['scope', scope]));
  const response = await layer.fetch('GET', `/v2/token?${query}`, { headers });
  const body = await response.text();
  equal(response.status, 200, body);
  return (JSON.parse(body) as { token: string }).token;
}

/** Scopes that a Bearer token grants, such as `repository:a/x:pull,push`. */
export function granted(token: string): string[] {
  const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  const { access } = JSON.parse(payload) as { access: { type: string; name: string; actions: string[] }[] };
  return access.map(({ type, name, actions }) => `${type}:${name}:${actions.join(',')}`);
}
