import { createHmac, randomBytes } from 'node:crypto';
import type { Account } from '../registry/cloud.ts';

/** Tokens of the stand-in for Azure Container Registry: JWTs, signed with its own key, with `exp`. */

export type Access = { type: string; name: string; actions: string[] };
/** By repository: `pull`, `push`, `delete`, `metadata_read`, … or `*`. `**`: every repository, and the catalog. */
export type Rights = Record<string, string[]>;

const text = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

export class Issuer {
  readonly #key = randomBytes(16);
  readonly now: () => number;

  constructor(now: () => number = Date.now) {
    this.now = now;
  }

  issue(claims: object, seconds: number): string {
    const iat = Math.floor(this.now() / 1_000);
    const head = `${text({ alg: 'HS256', typ: 'JWT' })}.${text({ ...claims, iat, exp: iat + seconds })}`;
    return `${head}.${this.#sign(head)}`;
  }

  /** The claims of a token that is valid now. */
  // biome-ignore lint/suspicious/noExplicitAny: claims of any kind are issued
  read(token: string): Record<string, any> | undefined {
    const [head, payload, signature] = token.split('.');
    if (!payload || this.#sign(`${head}.${payload}`) !== signature) return undefined;
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    return claims.exp * 1_000 > this.now() ? claims : undefined;
  }

  #sign = (head: string) => createHmac('sha256', this.#key).update(head).digest('base64url');
}

export type Holder = { account?: Account; rights: Rights };

/** The granted part of the requested scopes: a smaller grant is no error. */
export function grantAccess(scopes: string[], rights: Rights, abac: boolean): Access[] {
  const all = scopes.flatMap((one) => one.split(' ')).filter(Boolean);
  return all.flatMap((scope) => {
    const [type = '', ...rest] = scope.split(':');
    const actions = (rest.pop() ?? '').split(',');
    const name = rest.join(':');
    if (type === 'registry') return rights['**'] ? [{ type, name, actions }] : [];
    // A wildcard grants nothing if each repository has its own permissions.
    if (name === '*' && (abac || !rights['**'])) return [];
    const permitted = rights[name] ?? rights['**'] ?? [];
    const common = actions.filter((action) => permitted.includes('*') || permitted.includes(action));
    return common.length > 0 ? [{ type, name, actions: common }] : [];
  });
}

export const isAllowed = (access: Access[], required: Access): boolean =>
  access.some(
    ({ type, name, actions }) =>
      type === required.type &&
      (name === required.name || name === '*') &&
      required.actions.every((action) => actions.includes(action) || actions.includes('*')),
  );
