import { createHash } from 'node:crypto';
import { type Account, accountsChanged, accountsStatus, getAccount } from '#proto/accounts/accounts.ts';
import { endSession, sessionEnded, sessionStatus } from '#proto/accounts/sessions.ts';
import { within } from '#proto/async/within.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import { AccessRules } from './authorization.ts';
import { SESSION_MAX_MS, type Session } from './sessions.ts';

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
/**
 * Max age of an entry while storage does not answer, in ms, and the wait for an answer before it is used: nobody can
 * change an account meanwhile, and operators have to see what is wrong.
 */
const OUTAGE_AGE_MS = 5 * 60_000;
const ANSWER_MS = 300;
const MAX_ENTRIES = 1_000;

type Entry<T> = { value: T; since: number };

/**
 * Short-lived cache of the layer's accounts, including names without an account, and of which sessions were ended. Any
 * change event clears all of it, and an answer to a call made before the event is not stored. While storage does not
 * answer, older entries are used.
 */
export class AccountCache {
  readonly #bus: Bus;
  readonly #patience: number;
  readonly #anonymousActions: () => string[];
  readonly #entries = new BoundedMap<Entry<CachedAccount | undefined>>(MAX_ENTRIES);
  /** Whether a session was ended, by its id. */
  readonly #sessions = new BoundedMap<Entry<boolean>>(MAX_ENTRIES);
  readonly #maxAgeMs: number;
  readonly #inFlight = new Map<string, Promise<unknown>>();
  #status: Entry<Status> | undefined;

  /**
   * @param patience how long a call waits for storage to be available again, in ms
   * @param anonymousActions the actions of every caller
   */
  constructor(bus: Bus, patience: number, anonymousActions: () => string[], maxAgeMs = MAX_AGE_MS) {
    this.#bus = bus;
    this.#patience = patience;
    this.#anonymousActions = anonymousActions;
    this.#maxAgeMs = maxAgeMs;
    const forget = () => this.forget();
    bus.onInvalidation(accountsChanged, forget);
    bus.onInvalidation(sessionEnded, forget);
    bus.onInvalidation(storageStarted, forget);
    bus.onGap(forget);
  }

  forget(): void {
    this.#entries.clear();
    this.#sessions.clear();
    this.#inFlight.clear();
    this.#status = undefined;
  }

  /** Returns synchronously on a hit. @throws Fault `unavailable` */
  status(): Status | Promise<Status> {
    const entry = this.#status;
    if (entry && performance.now() - entry.since < this.#maxAgeMs) return entry.value;
    const call = this.#once('', async (since, cache) => {
      const { tokens, key } = await this.#bus.call(accountsStatus, {}, { patience: this.#patience });
      const value = { tokens, key: Buffer.from(key, 'base64url') };
      cache(() => {
        this.#status = { value, since };
      });
      return value;
    });
    return orKept(call, entry, () => this.#status === entry);
  }

  /** Returns synchronously on a hit; undefined if no account has the name. @throws Fault `unavailable` */
  get(name: string): CachedAccount | undefined | Promise<CachedAccount | undefined> {
    const entry = this.#entries.get(name);
    if (entry && performance.now() - entry.since < this.#maxAgeMs) return entry.value;
    const call = this.#once(name, async (since, cache) => {
      const { account } = await this.#bus.call(getAccount, { name }, { patience: this.#patience });
      const known = account && this.#toKnown(account);
      cache(() => this.#entries.set(name, { value: known, since }));
      return known;
    });
    return orKept(call, entry, () => this.#entries.get(name) === entry);
  }

  /** Whether its owner has ended it. Returns synchronously on a hit. @throws Fault `unavailable` */
  isSessionEnded(id: string): boolean | Promise<boolean> {
    const entry = this.#sessions.get(id);
    if (entry && performance.now() - entry.since < this.#maxAgeMs) return entry.value;
    const call = this.#once(`session ${id}`, async (since, cache) => {
      const { ended } = await this.#bus.call(sessionStatus, { id }, { patience: this.#patience });
      cache(() => this.#sessions.set(id, { value: ended, since }));
      return ended;
    });
    return orKept(call, entry, () => this.#sessions.get(id) === entry);
  }

  /** Ends a session for all gateways of the layer. @throws Fault `unavailable` */
  async endSession({ id, begun }: Pick<Session, 'id' | 'begun'>): Promise<void> {
    const until = begun + SESSION_MAX_MS;
    await this.#bus.call(endSession, { id, until }, { patience: this.#patience });
    this.forget();
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

/** What the call returns, or an entry that is not too old and still kept if storage does not answer soon. */
async function orKept<T>(call: Promise<T>, entry: Entry<T> | undefined, isKept: () => boolean): Promise<T> {
  if (!entry || performance.now() - entry.since >= OUTAGE_AGE_MS) return call;
  const answered = call.then((value) => ({ value }));
  const answer = await within(answered, ANSWER_MS).catch((error) => {
    if (!Fault.is(error, 'unavailable')) throw error;
  });
  if (answer) return answer.value;
  return isKept() ? entry.value : call;
}

/** Whether the password has not expired. Its account may still be disabled. */
export const isCurrent = ({ expires }: { expires?: number | undefined }): boolean =>
  expires === undefined || Date.now() < expires;

const fingerprintOf = (hash: string): string =>
  createHash('sha256').update(hash).digest('base64url').slice(0, 22);
