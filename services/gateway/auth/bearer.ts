import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Grant } from './authorization.ts';
import { type AccessEntry, grantOf } from './docker-scopes.ts';

/** Lifetime of a Bearer token, in seconds. */
export const LIFETIME_S = 600;

/** Max time by which a token may be issued in the future, in seconds: clocks are corrected. */
const TOLERANCE_S = 60;

const MAX_ENTRIES = 2_000;
/** Max length of a cached token, in characters; a longer one is verified for each request. */
const MAX_CACHED_LENGTH = 8_192;
/** Max length of a token, in characters: `MAX_SCOPES` scopes with the longest names need less. */
const MAX_TOKEN_LENGTH = 64 * 1_024;

/** Content of a Bearer token whose signature by this layer is verified. */
export type VerifiedToken = {
  /** Name of the token that it was issued to; empty for an anonymous caller. */
  name: string;
  /** Fingerprint of the password that it was issued for, and with which it ends. Its claim is named `print`. */
  fingerprint: string;
  grant: Grant;
};

/** Loaded with the first token: a layer without accounts has none. */
const jose = () => import('jose');

type Entry = VerifiedToken & { fromMs: number; expiresMs: number; key: Uint8Array };

/** Bearer tokens: JWTs signed with this layer's key (HS256, RFC 7519). Valid ones are cached. */
export class Bearer {
  readonly #entries = new BoundedMap<Entry>(MAX_ENTRIES);

  async issue(
    key: Uint8Array,
    { name, fingerprint, access }: { name: string; fingerprint: string; access: AccessEntry[] },
    now = Date.now(),
  ): Promise<string> {
    const issued = Math.floor(now / 1_000);
    const { SignJWT } = await jose();
    return new SignJWT({ access, print: fingerprint })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setSubject(name)
      .setIssuedAt(issued)
      .setExpirationTime(issued + LIFETIME_S)
      .sign(key);
  }

  /** Returns synchronously on a cache hit; undefined if the token is invalid or expired. */
  verify(
    key: Uint8Array,
    jwt: string,
    now = Date.now(),
  ): VerifiedToken | undefined | Promise<VerifiedToken | undefined> {
    const entry = this.#entries.get(jwt);
    if (!entry) return jwt.length > MAX_TOKEN_LENGTH ? undefined : this.#check(key, jwt, now);
    // Each answer of storage has a new key object: compare the bytes.
    const isOurs = entry.key === key || Buffer.compare(entry.key, key) === 0;
    if (isOurs && entry.fromMs <= now && now < entry.expiresMs) return entry;
    this.#entries.delete(jwt);
    return undefined;
  }

  async #check(key: Uint8Array, jwt: string, now: number): Promise<VerifiedToken | undefined> {
    try {
      const { jwtVerify } = await jose();
      const { payload } = await jwtVerify(jwt, key, {
        algorithms: ['HS256'],
        requiredClaims: ['sub', 'exp', 'iat', 'access', 'print'],
        currentDate: new Date(now),
      });
      const {
        sub,
        exp,
        iat,
        access,
        print: fingerprint,
      } = payload as Required<typeof payload> & {
        access: AccessEntry[];
        print: string;
      };
      const [fromMs, expiresMs] = [(iat - TOLERANCE_S) * 1_000, exp * 1_000];
      // Issued before the clock was set back: it would be valid until that time comes again.
      if (now < fromMs) return undefined;
      const entry = { name: sub, fingerprint, grant: grantOf(access), fromMs, expiresMs, key };
      if (jwt.length <= MAX_CACHED_LENGTH) this.#entries.set(jwt, entry);
      return entry;
    } catch {
      return undefined;
    }
  }
}
