import { createHash } from 'node:crypto';
import { type Account, accountsChanged, accountsStatus, getAccount } from '#proto/accounts/accounts.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { Rules } from './authorization.ts';

/** A token as requests meet it. */
export type Known = Omit<Account, 'passwords'> & {
  passwords: KnownPassword[];
  /** What it may do, and everybody. */
  rules: Rules;
};
/** `print` stands in Bearer tokens for the password that they were had with, and says nothing about it. */
export type KnownPassword = Account['passwords'][number] & { print: string };

/** `key` signs Bearer tokens. */
export type Status = { tokens: number; key: Uint8Array };

/** Nothing is remembered for longer, in ms: an event may be lost. */
const AGE_MS = 10_000;
const MAX_ENTRIES = 1_000;

type Entry = { known: Known | undefined; since: number };

/**
 * The tokens of the layer, as storage has them, remembered for a short while: also those that there are not. Whatever
 * is heard of a change forgets all of it, and what was asked before that is not remembered either.
 */
export class AccountCache {
  readonly #bus: Bus;
  readonly #patience: number;
  readonly #everybody: () => string[];
  /** Those asked for longest ago come first. */
  readonly #entries = new Map<string, Entry>();
  readonly #asking = new Map<string, Promise<unknown>>();
  #status: { value: Status; since: number } | undefined;

  /**
   * @param patience how long to wait for storage to come back, in ms
   * @param everybody the actions that everybody has
   */
  constructor(bus: Bus, patience: number, everybody: () => string[]) {
    this.#bus = bus;
    this.#patience = patience;
    this.#everybody = everybody;
    const forget = () => this.forget();
    bus.onInvalidation(accountsChanged, forget);
    bus.onInvalidation(storageStarted, forget);
    bus.onGap(forget);
  }

  forget(): void {
    this.#entries.clear();
    this.#asking.clear();
    this.#status = undefined;
  }

  /** At once where it is remembered. @throws Fault `unavailable` */
  status(): Status | Promise<Status> {
    if (this.#status && performance.now() - this.#status.since < AGE_MS) return this.#status.value;
    return this.#once('', async (since, remember) => {
      const { tokens, key } = await this.#bus.call(accountsStatus, {}, { patience: this.#patience });
      const value = { tokens, key: Buffer.from(key, 'base64url') };
      remember(() => {
        this.#status = { value, since };
      });
      return value;
    });
  }

  /** At once where it is remembered; undefined where there is none of the name. @throws Fault `unavailable` */
  get(name: string): Known | undefined | Promise<Known | undefined> {
    const entry = this.#entries.get(name);
    if (entry && performance.now() - entry.since < AGE_MS) return entry.known;
    return this.#once(name, async (since, remember) => {
      const { account } = await this.#bus.call(getAccount, { name }, { patience: this.#patience });
      const known = account && this.#know(account);
      remember(() => this.#keep(name, { known, since }));
      return known;
    });
  }

  /** One question at a time under each key; its answer is remembered unless all was forgotten meanwhile. */
  #once<T>(
    key: string,
    ask: (since: number, remember: (keep: () => void) => void) => Promise<T>,
  ): Promise<T> {
    const asked = this.#asking.get(key) as Promise<T> | undefined;
    if (asked) return asked;
    const isAsking = () => this.#asking.get(key) === asking;
    const asking: Promise<T> = ask(performance.now(), (keep) => isAsking() && keep()).finally(() => {
      if (isAsking()) this.#asking.delete(key);
    });
    this.#asking.set(key, asking);
    return asking;
  }

  #keep(name: string, entry: Entry): void {
    this.#entries.delete(name);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size >= MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(name, entry);
  }

  #know(account: Account): Known {
    return {
      ...account,
      passwords: account.passwords.map((password) => ({ ...password, print: printOf(password.hash) })),
      rules: new Rules([...account.actions, ...this.#everybody()]),
    };
  }
}

/** Is the password good for now? Its account may be disabled all the same. */
export const isCurrent = ({ expires }: { expires?: number | undefined }): boolean =>
  expires === undefined || Date.now() < expires;

const printOf = (hash: string): string => createHash('sha256').update(hash).digest('base64url').slice(0, 22);
