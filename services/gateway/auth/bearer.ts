import { jwtVerify, SignJWT } from 'jose';
import type { Grant } from './authorization.ts';
import { type AccessEntry, grantOf } from './docker-scopes.ts';

/** How long a Bearer token is good for, in seconds. */
export const LIFETIME_S = 600;

const MAX_ENTRIES = 2_000;
/** A longer token is checked each time that it comes. */
const LONG = 8_192;
/** A longer one is none of ours: `MAX_SCOPES` of the longest names make less. */
const MAX_TOKEN_LENGTH = 64 * 1_024;

/** What a Bearer token says, found to be signed by this layer. */
export type Verified = {
  /** Of the token that it was had with; empty for an anonymous one. */
  name: string;
  /** Of the password that it was had with: it ends with it. */
  print: string;
  grant: Grant;
};

type Entry = Verified & { expiresMs: number; key: Uint8Array };

/** Bearer tokens: JWTs of this layer's key (HS256, RFC 7519). Those that were good are remembered. */
export class Bearer {
  /** Those seen first come first. */
  readonly #entries = new Map<string, Entry>();

  async issue(
    key: Uint8Array,
    { name, print, access }: { name: string; print: string; access: AccessEntry[] },
    now = Date.now(),
  ): Promise<string> {
    const issued = Math.floor(now / 1_000);
    return new SignJWT({ access, print })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setSubject(name)
      .setIssuedAt(issued)
      .setExpirationTime(issued + LIFETIME_S)
      .sign(key);
  }

  /** At once where it is remembered; undefined where it is not good, or not any more. */
  verify(
    key: Uint8Array,
    jwt: string,
    now = Date.now(),
  ): Verified | undefined | Promise<Verified | undefined> {
    const entry = this.#entries.get(jwt);
    if (!entry) return jwt.length > MAX_TOKEN_LENGTH ? undefined : this.#check(key, jwt, now);
    // The key is another object each time that storage was asked for it.
    const isOurs = entry.key === key || Buffer.compare(entry.key, key) === 0;
    if (isOurs && now < entry.expiresMs) return entry;
    this.#entries.delete(jwt);
    return undefined;
  }

  async #check(key: Uint8Array, jwt: string, now: number): Promise<Verified | undefined> {
    try {
      const { payload } = await jwtVerify(jwt, key, {
        algorithms: ['HS256'],
        requiredClaims: ['sub', 'exp', 'access', 'print'],
        currentDate: new Date(now),
      });
      const { sub, exp, access, print } = payload as Required<typeof payload> & {
        access: AccessEntry[];
        print: string;
      };
      const entry = { name: sub, print, grant: grantOf(access), expiresMs: exp * 1_000, key };
      if (jwt.length <= LONG) this.#keep(jwt, entry);
      return entry;
    } catch {
      return undefined;
    }
  }

  #keep(jwt: string, entry: Entry): void {
    const [oldest] = this.#entries.keys();
    if (this.#entries.size >= MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(jwt, entry);
  }
}
