import { hash, randomBytes } from 'node:crypto';
import { matches } from '#proto/accounts/password-hash.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { KnownPassword } from './account-cache.ts';

/** At most this many hashes at a time: each takes some 50 ms of a core and 16 MiB. */
const AT_A_TIME = 2;
/** As many attempts may wait for their turn. */
export const MAX_WAITING = 100;
const MAX_PROVEN = 10_000;

/** What is hashed where there is no password to compare with, so that it takes as long: as storage makes them. */
const NOBODY = `scrypt$14$8$1$${randomBytes(16).toString('base64url')}$${randomBytes(32).toString('base64url')}`;

/** A name and a password, as something that can be remembered and says nothing of either. */
export type Proof = string;

/** Compares passwords with their hashes, and remembers which ones it found right. */
export class Passwords {
  readonly #key = randomBytes(32).toString('base64');
  /** Proofs, and the hash that each matched: one that the account does not have any more counts for nothing. */
  readonly #proven = new Map<Proof, string>();
  readonly #turns = new Turns(AT_A_TIME, MAX_WAITING);

  proofOf(name: string, password: string): Proof {
    // Keyed by what stands first, and always as long. An HMAC would take as long as the rest of the check ten times over.
    return hash('sha256', `${this.#key}${name}\n${password}`, 'base64');
  }

  /** Was it ever found right? */
  knows(proof: Proof): boolean {
    return this.#proven.has(proof);
  }

  /** Which of the passwords the proof was found to be, without hashing anything. */
  proven(proof: Proof, passwords: KnownPassword[]): KnownPassword | undefined {
    const matched = this.#proven.get(proof);
    return matched === undefined ? undefined : passwords.find((each) => each.hash === matched);
  }

  /**
   * Which of the passwords this is. Takes the same time whichever it is, and with none to compare with.
   * @param passwords are asked for when it is this one's turn
   * @throws Fault `too-many` where too many wait already
   */
  async find(
    proof: Proof,
    password: string,
    passwords: () => Promise<KnownPassword[]>,
  ): Promise<KnownPassword | undefined> {
    return this.#turns.take(async () => {
      const [first, second] = await passwords();
      const isFirst = await matches(password, first?.hash ?? NOBODY);
      const isSecond = await matches(password, second?.hash ?? NOBODY);
      const found = isFirst ? first : isSecond ? second : undefined;
      if (found) this.#remember(proof, found.hash);
      return found;
    });
  }

  #remember(proof: Proof, matched: string): void {
    const [oldest] = this.#proven.keys();
    if (this.#proven.size >= MAX_PROVEN && oldest !== undefined) this.#proven.delete(oldest);
    this.#proven.set(proof, matched);
  }
}

/** Lets a few in at a time; the others wait in line, which has an end. */
class Turns {
  #free: number;
  readonly #most: number;
  readonly #line: (() => void)[] = [];

  constructor(free: number, most: number) {
    this.#free = free;
    this.#most = most;
  }

  /** @throws Fault `too-many` */
  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else {
      if (this.#line.length >= this.#most) {
        throw new Fault('too-many', 'too many passwords wait to be checked: try again in 5 s', {
          detail: { retryAfter: 5 },
        });
      }
      await new Promise<void>((resolve) => this.#line.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#line.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
