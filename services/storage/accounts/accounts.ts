import { randomBytes } from 'node:crypto';
import type { Static } from '@sinclair/typebox';
import {
  type Account,
  accountsChanged,
  type changeToken,
  type createToken,
  type PasswordName,
  type putScopeMap,
  type rotateToken,
  type ScopeMap,
  type Token,
} from '#proto/accounts/accounts.ts';
import { hashPassword } from '#proto/accounts/password-hash.ts';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { byAccount } from '../audit/caller-context.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { type Change, drop, put } from '../metadata/metadata.ts';
import { type ListQuery, page } from '../metadata/page.ts';
import type { TokenRecord } from '../metadata/records.ts';
import { newPassword } from './new-password.ts';
import { actionsOf, mustBeBelowMax, ScopeMaps } from './scope-maps.ts';

/*
 * Accounts: who may do what in this layer, and which layers may synchronize.
 *
 *   accounts.ts, scope-maps.ts, new-password.ts          tokens and scope maps
 *   declared.ts, declared-plan.ts, secret-files.ts       accounts that the configuration document declares
 *   children.ts, start-verdict.ts, child-accounts.ts     the activated instance of each child
 *   own-start.ts                                         the starts of this layer, for its parent
 *   ended-sessions.ts                                    sessions of people who have logged out
 *
 * A token has up to two passwords, stored as hashes only, and one scope map that lists its actions. It is created by an
 * operator or declared in the document, and can only be changed there. Every change of a token or scope map holds the
 * lock `accounts`, is synced, and publishes `accountsChanged`, which invalidates the caches of gateways.
 */

type WithPassword = { token: Token; name: PasswordName; password: string };

type AccountsDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  publish: Bus['publish'];
};

/** Tokens, and the lock for every change of tokens and scope maps. Faults: see `proto/accounts/accounts.ts`. */
export class Accounts {
  readonly #deps: AccountsDeps;
  readonly #scopeMaps: ScopeMaps;
  readonly #now: () => number;

  constructor(deps: AccountsDeps, now: () => number) {
    this.#deps = deps;
    this.#scopeMaps = new ScopeMaps(deps.metadata);
    this.#now = now;
  }

  async create(query: Static<typeof createToken.query>): Promise<WithPassword> {
    const { name, expires } = query;
    const actions = query.actions && actionsOf(query.actions);
    if ((query.scopeMap === undefined) === (actions === undefined)) {
      throw new Fault('malformed', `token ${name} needs either a scope map or actions: specify one of them`);
    }
    this.#mustBeAhead(expires);
    return this.#withPassword('password1', expires, async (passwordRecord) => {
      const { metadata } = this.#deps;
      if (await metadata.token(name)) {
        throw new Fault(
          'exists',
          `token ${name} already exists: rotate its password, or choose another name`,
        );
      }
      mustBeBelowMax(metadata.counters.tokens, 'tokens');
      const scopeMap = query.scopeMap ?? name;
      const record = { enabled: true, scopeMap, created: this.#now(), passwords: [passwordRecord] };
      if (!actions) {
        await this.#scopeMaps.mustHave(scopeMap);
        return { name, record, also: [] };
      }
      if (await metadata.scopeMap(name)) {
        throw new Fault('conflict', `scope map ${name} already exists: assign it to the token by name`);
      }
      this.#scopeMaps.mustHaveRoom();
      return { name, record, also: put.scopeMap(name, { actions, own: true }) };
    });
  }

  async rotate({ name, password, expires }: Static<typeof rotateToken.query>): Promise<WithPassword> {
    this.#mustBeAhead(expires);
    return this.#withPassword(password, expires, async (passwordRecord) => {
      const record = mustNotBeDeclared(name, await this.#token(name));
      const others = record.passwords.filter((each) => each.name !== password);
      const passwords = [...others, passwordRecord].sort((a, b) => (a.name < b.name ? -1 : 1));
      return { name, record: { ...record, passwords }, also: [] };
    });
  }

  async change(query: Static<typeof changeToken.query>): Promise<Token> {
    const { name, dropPassword } = query;
    return this.#locked(async () => {
      const before = mustNotBeDeclared(name, await this.#token(name));
      const { enabled = before.enabled, scopeMap = before.scopeMap } = query;
      await this.#scopeMaps.mustHave(scopeMap);
      const passwords = before.passwords.filter((each) => each.name !== dropPassword);
      const record = { ...before, enabled, scopeMap, passwords };
      await this.#write(put.token(name, record));
      return tokenOf(name, record);
    });
  }

  async delete(name: string): Promise<void> {
    await this.#locked(async () => {
      mustNotBeDeclared(name, await this.#token(name));
      const { own } = (await this.#deps.metadata.scopeMap(name)) ?? {};
      const dropsScopeMap = own && !(await this.#scopeMaps.holder(name, name));
      await this.#write([...drop.token(name), ...(dropsScopeMap ? drop.scopeMap(name) : [])]);
    });
  }

  async show(name: string): Promise<Token> {
    return tokenOf(name, await this.#token(name));
  }

  async list({ after, limit }: ListQuery): Promise<{ tokens: Token[]; more: boolean }> {
    const [entries, more] = await page(this.#deps.metadata.tokens(after), limit);
    return { tokens: entries.map(([name, record]) => tokenOf(name, record)), more };
  }

  putScopeMap(query: Static<typeof putScopeMap.query>): Promise<ScopeMap> {
    return this.#locked(async () => {
      const scopeMap = await this.#scopeMaps.put(query);
      this.#publishChange();
      return scopeMap;
    });
  }

  showScopeMap(name: string): Promise<ScopeMap> {
    return this.#scopeMaps.show(name);
  }

  deleteScopeMap(name: string): Promise<void> {
    return this.#locked(async () => {
      await this.#scopeMaps.delete(name);
      this.#publishChange();
    });
  }

  listScopeMaps(page: ListQuery): Promise<{ scopeMaps: ScopeMap[]; more: boolean }> {
    return this.#scopeMaps.list(page);
  }

  async account(name: string): Promise<{ account?: Account }> {
    const record = await this.#deps.metadata.token(name);
    if (!record) return {};
    const { enabled, scopeMap, passwords } = record;
    const { actions } = (await this.#scopeMaps.get(scopeMap)) ?? { actions: [] };
    return { account: { name, enabled, actions, passwords } };
  }

  async status(): Promise<{ tokens: number; key: string }> {
    const { metadata } = this.#deps;
    const key = (await metadata.signingKey()) ?? (await this.#locked(() => this.#makeKey()));
    // Lost accounts count as one: a layer without accounts admits everybody.
    return { tokens: metadata.counters.tokens || ((await metadata.closed()) ? 1 : 0), key };
  }

  /** Synced before the reply: what one gateway signs must be valid at the others, after a crash as well. */
  async #makeKey(): Promise<string> {
    const { metadata } = this.#deps;
    const known = await metadata.signingKey();
    if (known) return known;
    const key = randomBytes(32).toString('base64url');
    await metadata.write(put.signingKey(key));
    return key;
  }

  #locked<T>(work: () => Promise<T>): Promise<T> {
    return this.#deps.locks.run('accounts', work);
  }

  async #write(changes: Change[]): Promise<void> {
    await this.#deps.metadata.write(changes);
    this.#publishChange();
  }

  readonly #publishChange = () => this.#deps.publish(accountsChanged, byAccount());

  /** Hashes before it takes the lock, because hashing is slow. */
  async #withPassword(
    name: PasswordName,
    expires: number | undefined,
    change: (
      passwordRecord: TokenRecord['passwords'][number],
    ) => Promise<{ name: string; record: TokenRecord; also: Change[] }>,
  ): Promise<WithPassword> {
    const password = newPassword();
    const hash = await hashPassword(password);
    return this.#locked(async () => {
      const passwordRecord = { name, hash, created: this.#now(), ...(expires !== undefined && { expires }) };
      const { name: token, record, also } = await change(passwordRecord);
      await this.#write([...put.token(token, record), ...also]);
      return { token: tokenOf(token, record), name, password };
    });
  }

  async #token(name: string): Promise<TokenRecord> {
    const record = await this.#deps.metadata.token(name);
    if (!record) throw new Fault('account-unknown', `token ${name} does not exist: list the tokens`);
    return record;
  }

  #mustBeAhead(expires: number | undefined): void {
    if (expires === undefined || expires > this.#now()) return;
    const when = new Date(expires).toISOString();
    throw new Fault('malformed', `expires ${when} is in the past: specify a time in the future, or none`);
  }
}

/** @throws Fault `denied` if only the configuration document may change the token */
function mustNotBeDeclared(name: string, record: TokenRecord): TokenRecord {
  if (!record.declared) return record;
  throw new Fault(
    'denied',
    `token ${name} is declared in the configuration document: change it there; set a new password by its hash ("terrace token hash") or in its secret file`,
  );
}

function tokenOf(name: string, { passwords, ...record }: TokenRecord): Token {
  return {
    name,
    ...record,
    passwords: passwords.map(({ hash: _hash, secretFile: _file, ...password }) => password),
  };
}
