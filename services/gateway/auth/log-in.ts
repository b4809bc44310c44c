import { setTimeout as sleep } from 'node:timers/promises';
import { TokenName } from '#proto/accounts/accounts.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type AccountCache, isCurrent, type Known, type KnownPassword } from './account-cache.ts';
import type { Identity } from './authorization.ts';
import { MAX_WAITING, Passwords, type Proof } from './passwords.ts';
import { Throttle } from './throttle.ts';

export type Credentials = { name: string; password: string };
export type Refused = { refused: string };
/** `print`: of the password that it was. */
export type Entered = { identity: Identity; print: string };

const NAME = new RegExp(TokenName.pattern as string);
/** No password is longer, in characters. */
const MAX_PASSWORD_LENGTH = 1_024;
const WRONG: Refused = { refused: 'the name of the token or its password is not right' };

/**
 * Names and passwords. A pair that was found right is let in from memory, as long as the account has that password;
 * every other one is hashed, a few at a time, and slowed down where it looks like guessing.
 */
export class LogIn {
  readonly #accounts: AccountCache;
  readonly #passwords = new Passwords();
  readonly #throttle = new Throttle();
  /** Several requests with the same new password, as a client sends them, are one attempt. */
  readonly #attempts = new Map<string, Promise<Entered | Refused>>();
  #delayed = 0;

  constructor(accounts: AccountCache) {
    this.#accounts = accounts;
  }

  /** @throws Fault `too-many`, `unavailable` */
  async enter({ name, password }: Credentials, address: string): Promise<Entered | Refused> {
    const proof = this.#passwords.proofOf(name, password);
    // Whoever only guesses costs storage no question before it is this one's turn.
    if (this.#passwords.knows(proof)) {
      const found = this.#accounts.get(name);
      const known = found instanceof Promise ? await found : found;
      const proven = known && this.#passwords.proven(proof, known.passwords);
      if (proven) return admit(known, proven);
    }
    const key = `${proof} ${address}`;
    const under = this.#attempts.get(key);
    if (under) return under;
    const attempt = this.#attempt({ name, password }, proof, address).finally(() =>
      this.#attempts.delete(key),
    );
    this.#attempts.set(key, attempt);
    return attempt;
  }

  /** Whoever had a Bearer token by that password: may it still come in? */
  async again(name: string, print: string): Promise<Entered | Refused> {
    const found = this.#accounts.get(name);
    const known = found instanceof Promise ? await found : found;
    const password = known?.passwords.find((each) => each.print === print);
    return known && password
      ? admit(known, password)
      : { refused: 'the password of the Bearer token has ended' };
  }

  async #attempt({ name, password }: Credentials, proof: Proof, address: string): Promise<Entered | Refused> {
    const attempt = this.#throttle.begin(name, address, performance.now());
    if ('refusedMs' in attempt) throw tooMany(attempt.refusedMs);
    let known: Known | undefined;
    let found: KnownPassword | undefined;
    try {
      await this.#delay(attempt.delayMs);
      found = await this.#passwords.find(proof, password.slice(0, MAX_PASSWORD_LENGTH + 1), async () => {
        known =
          NAME.test(name) && password.length <= MAX_PASSWORD_LENGTH
            ? await this.#accounts.get(name)
            : undefined;
        return known?.passwords ?? [];
      });
    } catch (error) {
      // Nothing was learned of the password.
      this.#throttle.cancelled(name, address);
      throw error;
    }
    const answer = known && found ? admit(known, found) : WRONG;
    if ('asker' in answer) this.#throttle.succeeded(name, address);
    else this.#throttle.failed(name, address, performance.now());
    return answer;
  }

  async #delay(ms: number): Promise<void> {
    if (ms === 0) return;
    if (this.#delayed >= MAX_WAITING) throw tooMany(ms);
    this.#delayed += 1;
    await sleep(ms);
    this.#delayed -= 1;
  }
}

/** Whoever knows the password may know why it does not help. */
function admit({ name, enabled, rules }: Known, password: KnownPassword): Entered | Refused {
  if (!enabled) return { refused: `token ${name} is disabled` };
  if (!isCurrent(password)) return { refused: `${password.name} of token ${name} has expired` };
  return { identity: { name, anonymous: false, rules }, print: password.print };
}

function tooMany(ms: number): Fault {
  const retryAfter = Math.ceil(ms / 1_000);
  return new Fault('too-many', `too many failed attempts to log in: try again in ${retryAfter} s`, {
    detail: { retryAfter },
  });
}
