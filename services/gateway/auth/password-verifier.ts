import { hash, randomBytes } from 'node:crypto';
import { verifyPassword } from '#proto/accounts/password-hash.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { KnownPassword } from './account-cache.ts';

/** Max hashes at a time: each takes about 50 ms of a core and 16 MiB. */
const MAX_CONCURRENT = 2;
/** Max attempts that wait for their turn. */
export const MAX_WAITING = 100;
const MAX_VERIFIED = 10_000;

/** Hash to compare with if the account has no password, with storage's parameters, so that it takes the same time. */
const DUMMY_HASH = `scrypt$14$8$1$${randomBytes(16).toString('base64url')}$${randomBytes(32).toString('base64url')}`;

/** A keyed hash of a name and password: may be kept without revealing either. */
export type LoginKey = string;

/** Compares passwords with their hashes, and caches matches. */
export class PasswordVerifier {
  readonly #key = randomBytes(32).toString('base64');
  /** The hash that each login matched. An entry whose hash the account no longer has is ignored. */
  readonly #verified = new BoundedMap<string>(MAX_VERIFIED);
  readonly #queue = new BoundedQueue(MAX_CONCURRENT, MAX_WAITING);

  loginKeyOf(name: string, password: string): LoginKey {
    // Keyed by a prefix of fixed length. An HMAC would take ten times as long as the rest of the check.
    return hash('sha256', `${this.#key}${name}\n${password}`, 'base64');
  }

  /** Whether this login ever matched. */
  isVerified(login: LoginKey): boolean {
    return this.#verified.has(login);
  }

  /** The password that this login matched before, without hashing. */
  findVerified(login: LoginKey, passwords: KnownPassword[]): KnownPassword | undefined {
    const matched = this.#verified.get(login);
    return matched === undefined ? undefined : passwords.find((each) => each.hash === matched);
  }

  /**
   * Returns the password that matches. Takes the same time for each of them, and for an account without any.
   * @param passwords called at the turn of this attempt
   * @throws Fault `too-many` if too many attempts wait already
   */
  async verify(
    login: LoginKey,
    password: string,
    passwords: () => Promise<KnownPassword[]>,
  ): Promise<KnownPassword | undefined> {
    return this.#queue.run(async () => {
      const [first, second] = await passwords();
      const isFirst = await verifyPassword(password, first?.hash ?? DUMMY_HASH);
      const isSecond = await verifyPassword(password, second?.hash ?? DUMMY_HASH);
      const match = isFirst ? first : isSecond ? second : undefined;
      if (match) this.#verified.set(login, match.hash);
      return match;
    });
  }
}

/** Runs a few tasks at a time; the others wait in a bounded queue. */
class BoundedQueue {
  #free: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];

  constructor(free: number, maxWaiting: number) {
    this.#free = free;
    this.#maxWaiting = maxWaiting;
  }

  /** @throws Fault `too-many` */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else {
      if (this.#waiting.length >= this.#maxWaiting) {
        throw new Fault('too-many', 'too many passwords are waiting to be checked: try again in 5 s', {
          detail: { retryAfter: 5 },
        });
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
