import { isDeepStrictEqual } from 'node:util';
import { accountsChanged, type PasswordName } from '#proto/accounts/accounts.ts';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { Log } from '#proto/contract/log.ts';
import { limitComplaints } from '#proto/document/complaints.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import type { Audit } from '../audit/audit.ts';
import { declarationFacts } from '../audit/audit-facts.ts';
import { byAccount } from '../audit/caller-context.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { put } from '../metadata/metadata.ts';
import type { TokenRecord } from '../metadata/records.ts';
import { type ExistingAccounts, planDeclared, type WantedAccount } from './declared-plan.ts';
import { actionsOf, mustBeBelowMax, ScopeMaps } from './scope-maps.ts';
import { SecretFiles } from './secret-files.ts';

/** Poll interval of secret files, in ms: a mounted secret sends no notification of a change. */
const POLL_MS = 10_000;
const NAMES: PasswordName[] = ['password1', 'password2'];

type DeclaredDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  publish: Bus['publish'];
  audit: Audit;
  log: Log;
  now: () => number;
};

/** Makes accounts match the configuration document. Accounts of operators are left alone. */
export class DeclaredAccounts {
  readonly #deps: DeclaredDeps;
  readonly #scopeMaps: ScopeMaps;
  readonly #secrets = new SecretFiles();
  /** Accounts that are not as declared, one sentence each. */
  complaints: string[] = [];
  #applied = false;

  constructor(deps: DeclaredDeps) {
    this.#deps = deps;
    this.#scopeMaps = new ScopeMaps(deps.metadata);
  }

  /** Replaces everything declared before. Synced when it resolves. @returns the complaints */
  declare(accounts: DeclaredAccount[]): Promise<string[]> {
    const { metadata } = this.#deps;
    return this.#locked(async () => {
      if (!isDeepStrictEqual((await metadata.declared()) ?? [], accounts)) {
        await metadata.write(put.declared(accounts));
      }
      return this.#apply(accounts);
    });
  }

  /** Polls the secret files, at once and then at an interval in ms. */
  watchSecrets(everyMs = POLL_MS): Disposable {
    const poll = () => {
      this.renew().catch((err) => this.#deps.log.warn({ err }, 'declared accounts could not be applied'));
    };
    poll();
    const timer = setInterval(poll, everyMs).unref();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  /** Applies the last declaration again, if accounts may differ from it. */
  async renew(): Promise<void> {
    await this.#locked(async () => {
      const accounts = (await this.#deps.metadata.declared()) ?? [];
      const hasSecrets = accounts.some(({ passwords }) => passwords.some(({ secretFile }) => secretFile));
      if (!this.#applied || hasSecrets || this.complaints.length > 0) await this.#apply(accounts);
    });
  }

  async #apply(accounts: DeclaredAccount[]): Promise<string[]> {
    const { metadata, locks, publish, audit, now } = this.#deps;
    const complaints: string[] = [];
    const wanted: WantedAccount[] = [];
    // Before the lock `accounts`, because hashing is slow.
    for (const account of accounts) wanted.push(await this.#wantedOf(account, complaints));
    await locks.run('accounts', async () => {
      const plan = planDeclared(wanted, await this.#readExisting(wanted), now());
      for (const complaint of plan.complaints) complaints.push(complaint);
      if (plan.newTokens > 0) mustBeBelowMax(metadata.counters.tokens + plan.newTokens - 1, 'tokens');
      if (plan.changes.length === 0) return;
      const facts = { action: 'accounts/declare', detail: declarationFacts(plan.changes) };
      await audit.change(facts, () => metadata.write(plan.changes));
      publish(accountsChanged, byAccount());
    });
    this.#applied = true;
    const listed = limitComplaints(complaints);
    this.#report(listed);
    return listed;
  }

  async #wantedOf(account: DeclaredAccount, complaints: string[]): Promise<WantedAccount> {
    const { name, enabled, scopeMap, actions } = account;
    const before = await this.#deps.metadata.token(name);
    const passwords: TokenRecord['passwords'] = [];
    for (const [at, { hash: given, secretFile, expires }] of account.passwords.entries()) {
      const current = given ?? (await this.#secretOf(name, secretFile ?? '', before, complaints));
      if (current === undefined) continue;
      const known = before?.passwords.find(({ hash }) => hash === current);
      passwords.push({
        name: NAMES[at] as PasswordName,
        hash: current,
        created: known?.created ?? this.#deps.now(),
        ...(expires !== undefined && { expires }),
        ...(secretFile !== undefined && { secretFile }),
      });
    }
    const permissions = scopeMap === undefined ? { actions: actionsOf(actions ?? []) } : { scopeMap };
    return { name, enabled, ...permissions, passwords };
  }

  /** Hash of the password in the file; if the file is unusable, of the last one it held. */
  async #secretOf(
    name: string,
    path: string,
    before: TokenRecord | undefined,
    complaints: string[],
  ): Promise<string | undefined> {
    const known = before?.passwords.find(({ secretFile }) => secretFile === path)?.hash;
    const result = await this.#secrets.hashOf(path, known);
    if ('hash' in result) return result.hash;
    const until = known ? '; until then, the previous password is valid' : '';
    complaints.push(`the secret file ${path} of ${name} ${result.why}${until}`);
    return known;
  }

  async #readExisting(wanted: WantedAccount[]): Promise<ExistingAccounts> {
    const { metadata } = this.#deps;
    const tokens = new Map<string, TokenRecord>();
    for await (const [name, record] of metadata.tokens()) tokens.set(name, record);
    const scopeMaps: Map<string, NonNullable<Awaited<ReturnType<typeof metadata.scopeMap>>>> = new Map();
    const declared = [...tokens].filter(([, record]) => record.declared).map(([name]) => name);
    for (const name of new Set([...declared, ...wanted.map((one) => one.name)])) {
      const record = await metadata.scopeMap(name);
      if (record) scopeMaps.set(name, record);
    }
    const known = new Set<string>();
    for (const { scopeMap } of wanted) {
      if (scopeMap !== undefined && (await this.#scopeMaps.get(scopeMap))) known.add(scopeMap);
    }
    return { tokens, scopeMaps, hasScopeMap: (name) => known.has(name) };
  }

  #report(complaints: string[]): void {
    const before = this.complaints.join('\n');
    this.complaints = complaints;
    if (complaints.length === 0 || complaints.join('\n') === before) return;
    this.#deps.log.warn({ complaints }, 'some declared accounts could not be applied');
  }

  #locked<T>(work: () => Promise<T>): Promise<T> {
    return this.#deps.locks.run('declared', work);
  }
}
