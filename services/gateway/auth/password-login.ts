import { setTimeout as sleep } from 'node:timers/promises';
import { TokenName } from '#proto/accounts/accounts.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type AccountCache, type CachedAccount, isCurrent, type KnownPassword } from './account-cache.ts';
import type { CallerIdentity } from './authorization.ts';
import { type LoginKey, MAX_WAITING, PasswordVerifier } from './password-verifier.ts';
import { Throttle } from './throttle.ts';

export type LoginCredentials = { name: string; password: string };
export type Refused = { refused: string };
/** `fingerprint`: of the password used. */
export type LoggedIn = { identity: CallerIdentity; fingerprint: string };

const NAME = new RegExp(TokenName.pattern as string);
/** Max length of a password, in characters. */
const MAX_PASSWORD_LENGTH = 1_024;
const WRONG: Refused = { refused: 'invalid token name or password' };

/**
 * Checks names and passwords. A pair that was right before is admitted without hashing while the account has that
 * password; any other pair is hashed, a few at a time, and slowed down if it looks like guessing.
 */
export class PasswordLogin {
  readonly #accounts: AccountCache;
  readonly #passwords = new PasswordVerifier();
  readonly #throttle = new Throttle();
  /** Concurrent requests with the same new password, as a client sends them, share one attempt. */
  readonly #attempts = new Map<string, Promise<LoggedIn | Refused>>();
  #delayed = 0;

  constructor(accounts: AccountCache) {
    this.#accounts = accounts;
  }

  /**
   * Returns synchronously if the pair was right before and its account is cached.
   * @param address of the client; called only if the password has to be hashed
   * @throws Fault `too-many`, `unavailable`
   */
  verify(
    { name, password }: LoginCredentials,
    address: () => string,
  ): LoggedIn | Refused | Promise<LoggedIn | Refused> {
    const login = this.#passwords.loginKeyOf(name, password);
    const attempt = () => this.#shareAttempt({ name, password }, login, address());
    // A guessed password costs storage no call before its turn in the queue.
    if (!this.#passwords.isVerified(login)) return attempt();
    const admitKnown = (known: CachedAccount | undefined) => {
      const verified = known && this.#passwords.findVerified(login, known.passwords);
      return verified ? admit(known, verified) : attempt();
    };
    const known = this.#accounts.get(name);
    return known instanceof Promise ? known.then(admitKnown) : admitKnown(known);
  }

  /** Whether the holder of a Bearer token that was issued for this password is still admitted. */
  recheck(name: string, fingerprint: string): LoggedIn | Refused | Promise<LoggedIn | Refused> {
    const admitKnown = (known: CachedAccount | undefined) => {
      const password = known?.passwords.find((each) => each.fingerprint === fingerprint);
      return known && password
        ? admit(known, password)
        : { refused: 'the password of the Bearer token is no longer valid' };
    };
    const known = this.#accounts.get(name);
    return known instanceof Promise ? known.then(admitKnown) : admitKnown(known);
  }

  #shareAttempt(
    credentials: LoginCredentials,
    login: LoginKey,
    address: string,
  ): Promise<LoggedIn | Refused> {
    const key = `${login} ${address}`;
    const running = this.#attempts.get(key);
    if (running) return running;
    const attempt = this.#attempt(credentials, login, address).finally(() => this.#attempts.delete(key));
    this.#attempts.set(key, attempt);
    return attempt;
  }

  async #attempt(
    { name, password }: LoginCredentials,
    login: LoginKey,
    address: string,
  ): Promise<LoggedIn | Refused> {
    const attempt = this.#throttle.begin(name, address, performance.now());
    if ('refusedMs' in attempt) throw tooMany(attempt.refusedMs);
    let known: CachedAccount | undefined;
    let matched: KnownPassword | undefined;
    try {
      await this.#delay(attempt.delayMs);
      matched = await this.#passwords.verify(login, password.slice(0, MAX_PASSWORD_LENGTH + 1), async () => {
        known =
          NAME.test(name) && password.length <= MAX_PASSWORD_LENGTH
            ? await this.#accounts.get(name)
            : undefined;
        return known?.passwords ?? [];
      });
    } catch (error) {
      // The password was not checked.
      this.#throttle.cancelled(name, address);
      throw error;
    }
    const answer = known && matched ? admit(known, matched) : WRONG;
    if ('identity' in answer) this.#throttle.succeeded(name, address);
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

/** The caller knows the password, so it may learn why it is refused. */
function admit({ name, enabled, rules }: CachedAccount, password: KnownPassword): LoggedIn | Refused {
  if (!enabled) return { refused: `token ${name} is disabled` };
  if (!isCurrent(password)) return { refused: `${password.name} of token ${name} has expired` };
  return { identity: { name, anonymous: false, rules }, fingerprint: password.fingerprint };
}

function tooMany(ms: number): Fault {
  const retryAfter = Math.ceil(ms / 1_000);
  return new Fault('too-many', `too many failed attempts to log in: try again in ${retryAfter} s`, {
    detail: { retryAfter },
  });
}
