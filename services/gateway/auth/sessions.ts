import { randomBytes } from 'node:crypto';

/** A session ends after this time without a request, and at last this long after its login, in ms. */
export const SESSION_IDLE_MS = 30 * 60_000;
export const SESSION_MAX_MS = 12 * 60 * 60_000;
/** A cookie that is older is replaced by a new one, in ms. */
export const SESSION_RENEW_MS = 60_000;

/** Max time by which a session may begin in the future, in ms: clocks are corrected. */
const TOLERANCE_MS = 60_000;
const MAX_LENGTH = 2_048;
const AUDIENCE = 'terrace-session';

/** A session of a person, as its cookie has it. */
export type Session = {
  /** New at each login: nobody can know it before. */
  id: string;
  /** Name of the token that logged in. */
  name: string;
  /** Fingerprint of the password that it was begun with, and with which it ends. */
  fingerprint: string;
  /** When it was begun, when its cookie was issued, and when it ends without another request, in ms since 1970. */
  begun: number;
  issued: number;
  until: number;
};

const jose = () => import('jose');

/**
 * Sessions are JWTs signed with the key of the layer (HS256, RFC 7519), so each gateway process knows those of the
 * others. Their audience, and claims that a Bearer token must have and they have not, tell the two apart. Those that
 * their owners ended are recorded by storage: see `logouts.ts`.
 */
export class Sessions {
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  begin(key: Uint8Array, name: string, fingerprint: string): Promise<{ session: Session; value: string }> {
    const id = randomBytes(16).toString('base64url');
    return this.#issue(key, { id, name, fingerprint, begun: this.#now() });
  }

  /** The same session with a new end; undefined if its cookie is new enough. */
  async renew(key: Uint8Array, session: Session): Promise<{ session: Session; value: string } | undefined> {
    const age = this.#now() - session.issued;
    if (age < SESSION_RENEW_MS || session.until >= session.begun + SESSION_MAX_MS) return undefined;
    return this.#issue(key, session);
  }

  /** Undefined if it is not of this layer, or is over. */
  async verify(key: Uint8Array, value: string): Promise<Session | undefined> {
    if (value.length > MAX_LENGTH) return undefined;
    try {
      const { jwtVerify } = await jose();
      const { payload } = await jwtVerify(value, key, {
        algorithms: ['HS256'],
        audience: AUDIENCE,
        requiredClaims: ['sub', 'jti', 'exp', 'iat', 'begun', 'print'],
        currentDate: new Date(this.#now()),
      });
      const { sub, jti, exp, iat, begun, print } = payload as {
        sub: string;
        jti: string;
        exp: number;
        iat: number;
        begun: number;
        print: string;
      };
      const session: Session = {
        ...{ id: jti, name: sub, fingerprint: print },
        ...{ begun, issued: iat * 1_000, until: exp * 1_000 },
      };
      return this.isValid(session) ? session : undefined;
    } catch {
      return undefined;
    }
  }

  /** Whether its time goes on. */
  isValid({ begun, issued, until }: Session): boolean {
    const now = this.#now();
    const isPossible = issued <= now + TOLERANCE_MS && begun <= now + TOLERANCE_MS;
    return isPossible && now < until && now < begun + SESSION_MAX_MS;
  }

  async #issue(
    key: Uint8Array,
    { id, name, fingerprint, begun }: Omit<Session, 'issued' | 'until'>,
  ): Promise<{ session: Session; value: string }> {
    const issued = Math.floor(this.#now() / 1_000);
    const exp = Math.floor(Math.min(this.#now() + SESSION_IDLE_MS, begun + SESSION_MAX_MS) / 1_000);
    const { SignJWT } = await jose();
    const value = await new SignJWT({ begun, print: fingerprint })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setSubject(name)
      .setJti(id)
      .setAudience(AUDIENCE)
      .setIssuedAt(issued)
      .setExpirationTime(exp)
      .sign(key);
    const session = { id, name, fingerprint, begun, issued: issued * 1_000, until: exp * 1_000 };
    return { session, value };
  }
}
