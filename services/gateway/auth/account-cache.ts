import { createHash } from 'node:crypto';
import { type Account, accountsChanged, accountsStatus, getAccount } from '#proto/accounts/accounts.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { AccessRules } from './authorization.ts';

/** An account with what checks of a request need. */
export type CachedAccount = Omit<Account, 'passwords'> & {
  passwords: KnownPassword[];
  /** Rights of the account, including those of every caller. */
  rules: AccessRules;
};
/** `fingerprint` names the password in Bearer tokens that were issued for it, and reveals nothing about it. */
export type KnownPassword = Account['passwords'][number] & { fingerprint: string };

/** `key` signs Bearer tokens. */
export type Status = { tokens: number; key: Uint8Array };

/** Max age of an entry, in ms: an event may be lost. */
const MAX_AGE_MS = 10_000;
const MAX_ENTRIES = 1_000;

type Entry = { known: CachedAccount | undefined; since: number };

/**
 * Short-lived cache of the layer's accounts, including names without an account. Any change event clears all of it, and
 * an answer to a call made before the event is not stored.
 */
export class AccountCache {
  readonly #bus: Bus;
  readonly #patience: number;
  readonly #anonymousActions: () => string[];
  readonly #entries = new BoundedMap<Entry>(MAX_ENTRIES);
  readonly #inFlight = new Map<string, Promise<unknown>>();
  #status: { value: Status; since: number } | undefined;

  /**
   * @param patience how long a call waits for storage to be available again, in ms
   * @param anonymousActions the actions of every caller
   */
  constructor(bus: Bus, patience: number, anonymousActions: () => string[]) {
    this.#bus = bus;
    this.#patience = patience;
    this.#anonymousActions = anonymousActions;
    const forget = () => this.forget();
    bus.onInvalidation(accountsChanged, forget);
    bus.onInvalidation(storageStarted, forget);
    bus.onGap(forget);
  }

  forget(): void {
    this.#entries.clear();
    this.#inFlight.clear();
    this.#status = undefined;
  }

  /** Returns synchronously on a hit. @throws Fault `unavailable` */
  status(): Status | Promise<Status> {
    if (this.#status && performance.now() - this.#status.since < MAX_AGE_MS) return this.#status.value;
    return this.#once('', async (since, cache) => {
      const { tokens, key } = await this.#bus.call(accountsStatus, {}, { patience: this.#patience });
      const value = { tokens, key: Buffer.from(key, 'base64url') };
      cache(() => {
        this.#status = { value, since };
      });
      return value;
    });
  }

  /** Returns synchronously on a hit; undefined if no account has the name. @throws Fault `unavailable` */
  get(name: string): CachedAccount | undefined | Promise<CachedAccount | undefined> {
    const entry = this.#entries.get(name);
    if (entry && performance.now() - entry.since < MAX_AGE_MS) return entry.known;
    return this.#once(name, async (since, cache) => {
      const { account } = await this.#bus.call(getAccount, { name }, { patience: this.#patience });
      const known = account && this.#toKnown(account);
      cache(() => this.#entries.set(name, { known, since }));
      return known;
    });
  }

  /** One call at a time per key; its answer is stored unless the cache was cleared in the meantime. */
  #once<T>(key: string, load: (since: number, cache: (store: () => void) => void) => Promise<T>): Promise<T> {
    const running = this.#inFlight.get(key) as Promise<T> | undefined;
    if (running) return running;
    const isCurrentCall = () => this.#inFlight.get(key) === call;
    const call: Promise<T> = load(performance.now(), (store) => isCurrentCall() && store()).finally(() => {
      if (isCurrentCall()) this.#inFlight.delete(key);
    });
    this.#inFlight.set(key, call);
    return call;
  }

  #toKnown(account: Account): CachedAccount {
    return {
      ...account,
      passwords: account.passwords.map((password) => ({
        ...password,
        fingerprint: fingerprintOf(password.hash),
      })),
      rules: new AccessRules([...account.actions, ...this.#anonymousActions()]),
    };
  }
}

/** Whether the password has not expired. Its account may still be disabled. */
export const isCurrent = ({ expires }: { expires?: number | undefined }): boolean =>
  expires === undefined || Date.now() < expires;

const fingerprintOf = (hash: string): string =>
  createHash('sha256').update(hash).digest('base64url').slice(0, 22);
