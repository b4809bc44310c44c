import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type ParentChallenge, readChallenges } from '#proto/http/parent-challenge.ts';
import { realmOf } from '#proto/http/token-realm.ts';
import { urlAt } from '../answers/parent-path.ts';

/**
 * Authorization at the parent. `ParentCredentials` decides which Authorization header a request carries. `ParentLink`
 * asks it before each request and passes it each 401. It begins without a header, parses the challenge
 * (proto/http/parent-challenge.ts), and then uses Basic, or fetches a Bearer token for each scope (`token-scopes.ts`,
 * `token-answer.ts`, `token-life.ts`) and renews it shortly before it expires.
 *
 * For an Azure Container Registry without a password, `exchange.ts` is the source of tokens: it exchanges the token of
 * a Microsoft Entra identity (`entra-identity.ts`) for a refresh token, and that for access tokens. `trust-bundle.ts`
 * polls an IoT Edge device for the certificates that it trusts.
 */

export type ParentLogin = { username: string; password: string };

/** `expiresIn` in seconds; undefined if the answer does not say. */
export type Granted = { token: string; expiresIn: number | undefined };

/** Fetches a token. Supplied by `ParentLink`, so that this file does no I/O. */
export type AskToken = (url: URL, login: ParentLogin | undefined) => Promise<Granted>;

/** Source of tokens for a parent that is configured without user and password. */
export type TokenSource = {
  token(realm: URL, service: string | undefined, scopes: string[]): Promise<Granted>;
  /** The parent rejected a token of this source. */
  refused(): void;
};

type Token = { token: string; since: number; until: number };

/** A token is renewed this long before it expires, in ms. */
const RENEW_BEFORE_MS = 10_000;
/** Min time that a token is used, in ms, even if it expires sooner. */
const MIN_LIFE_MS = 5_000;
/** Max cached tokens, one for each scope: a parent may have any number of repositories. */
const MAX_TOKENS = 1_000;
/** Lifetime of a token that does not state it, in seconds (distribution's specification). */
const DEFAULT_LIFE_S = 60;

/**
 * Chooses the Authorization header, learned from the parent's challenges: none, Basic, or a Bearer token for each
 * scope (distribution's token authentication specification). Tokens are renewed shortly before they expire.
 */
export class ParentCredentials {
  readonly #base: URL;
  readonly #login: ParentLogin | undefined;
  readonly #ask: AskToken;
  readonly #source: TokenSource | undefined;
  readonly #now: () => number;
  #realm: { url: URL; service: string | undefined } | undefined;
  #basic = false;
  readonly #tokens = new BoundedMap<Promise<Token>>(MAX_TOKENS);

  constructor(
    base: URL,
    login: ParentLogin | undefined,
    ask: AskToken,
    { source, now = () => Date.now() }: { source?: TokenSource | undefined; now?: () => number } = {},
  ) {
    this.#source = source;
    this.#now = now;
    this.#base = base;
    this.#login = login;
    this.#ask = ask;
  }

  /** The header for a request of this scope, as far as learned; undefined: send none. */
  async header(scope: string): Promise<string | undefined> {
    if (this.#basic) return this.#basicHeader();
    if (!this.#realm) return undefined;
    return bearer(await this.#token(scope, ({ until }) => until > this.#now()));
  }

  /**
   * Learns from a 401. Bearer is preferred; Basic is used if the token service refuses or has no valid address.
   * @returns whether a retry with a new header makes sense
   * @throws Fault `parent-invalid`, `parent-refused`, `parent-unreachable`
   */
  async challenged(
    header: string | string[] | undefined,
    scope: string,
    sent: string | undefined,
  ): Promise<boolean> {
    const challenges = readChallenges(header);
    const acceptsBasic = challenges.some(({ scheme }) => scheme === 'basic');
    let fault: unknown;
    for (const { scheme, parameters } of challenges) {
      if (scheme === 'basic') continue;
      try {
        await this.#learnRealm(parameters, scope, sent);
        return true;
      } catch (error) {
        if (!Fault.is(error, 'parent-invalid', 'parent-refused')) throw error;
        if (!parameters.realm && this.offer(sent)) return true;
        fault ??= error;
      }
    }
    if (challenges.length === 0) return (await this.#renewed(scope, sent)) || this.offer(sent);
    if (this.#login && acceptsBasic && !sent?.startsWith('Basic ')) {
      this.#realm = undefined;
      this.#basic = true;
      return true;
    }
    if (fault !== undefined) throw fault;
    return false;
  }

  /**
   * Sends the login although the parent did not ask for it: one with anonymous access hides what is private.
   * @param sent the header of the request that was refused
   * @returns whether a retry with a new header makes sense
   */
  offer(sent: string | undefined): boolean {
    if (!this.#login || sent !== undefined) return false;
    // Another request may have met a challenge meanwhile.
    if (!this.#realm) this.#basic = true;
    return true;
  }

  async #learnRealm(
    { realm, service, scope: named }: ParentChallenge['parameters'],
    scope: string,
    sent: string | undefined,
  ): Promise<void> {
    const url = realmOf(realm, this.#base);
    this.#basic = false;
    this.#realm = { url, service };
    if (sent?.startsWith('Bearer ')) this.#source?.refused();
    // Another request may have renewed the token after the same challenge already.
    await this.#token(scope, (token) => bearer(token) !== sent, named);
  }

  /** Renews a token that the parent rejected without a challenge, unless it is new: then it grants too little. */
  async #renewed(scope: string, sent: string | undefined): Promise<boolean> {
    if (!this.#realm || !sent?.startsWith('Bearer ')) return false;
    const isOther = (token: Token) => bearer(token) !== sent;
    const cached = await this.#tokens.get(scope);
    if (cached && !isOther(cached) && cached.since > this.#now() - MIN_LIFE_MS) return false;
    await this.#token(scope, isOther);
    return true;
  }

  #basicHeader(): string | undefined {
    return this.#login && basicOf(this.#login);
  }

  /**
   * Behind the proxy of a layer without a registry, the parent names its realm by an address of the layer above, which
   * may be unreachable from here. Every proxy forwards paths below `/v2/`, so such a realm is then asked through the
   * parent's own address. The same holds for a realm without the path of the parent's address: a proxy may remove it.
   */
  async #fetch(url: URL): Promise<Granted> {
    try {
      return await this.#ask(url, this.#login);
    } catch (error) {
      const own = urlAt(this.#base, `${url.pathname}${url.search}`);
      const isElsewhere = own.href !== url.href && url.pathname.startsWith('/v2/');
      const isOtherHost = url.origin !== this.#base.origin;
      const codes = ['parent-unreachable', 'parent-invalid', ...(isOtherHost ? [] : ['parent-refused'])];
      if (!isElsewhere || !Fault.is(error) || !codes.includes(error.code)) throw error;
      const answer = await this.#ask(own, this.#login).catch((second) => {
        throw isOtherHost ? second : error;
      });
      if (this.#realm) this.#realm.url = urlAt(this.#base, this.#realm.url.pathname);
      return answer;
    }
  }

  /** At most one token request at a time for each scope. Its failure fails all requests that wait for it. */
  async #token(scope: string, isUsable: (token: Token) => boolean, named = scope): Promise<Token> {
    for (;;) {
      const cached = this.#tokens.get(scope);
      if (!cached) return this.#renew(scope, named);
      const token = await cached;
      if (isUsable(token)) return token;
      if (this.#tokens.get(scope) === cached) this.#tokens.delete(scope);
    }
  }

  async #renew(scope: string, named: string): Promise<Token> {
    const { url, service } = this.#realm as { url: URL; service: string | undefined };
    const tokenUrl = new URL(url);
    if (service) tokenUrl.searchParams.set('service', service);
    const scopes = mergedScopes(named, scope);
    for (const one of scopes) tokenUrl.searchParams.append('scope', one);
    const granted = this.#source ? this.#source.token(url, service, scopes) : this.#fetch(tokenUrl);
    const renewal = granted.then(({ token, expiresIn = DEFAULT_LIFE_S }) => ({
      token,
      since: this.#now(),
      until: this.#now() + Math.max(MIN_LIFE_MS, expiresIn * 1_000 - RENEW_BEFORE_MS),
    }));
    this.#tokens.set(scope, renewal);
    renewal.catch((error) => {
      if (this.#tokens.get(scope) === renewal) this.#tokens.delete(scope);
      // The realm may have moved: the next challenge names it again.
      if (Fault.is(error, 'parent-invalid') && this.#realm?.url === url) this.#realm = undefined;
    });
    return renewal;
  }
}

/** The header for a login with Basic (RFC 7617). */
export const basicOf = ({ username, password }: ParentLogin): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

const bearer = ({ token }: Token): string => `Bearer ${token}`;

/** The scopes named by a challenge, and requested ones for resources that it does not name: a mount needs two. */
function mergedScopes(named: string, requested: string): string[] {
  const scopes = named.split(' ').filter(Boolean);
  const resource = (scope: string) => scope.slice(0, scope.lastIndexOf(':'));
  const known = new Set(scopes.map(resource));
  return [...scopes, ...requested.split(' ').filter((scope) => !known.has(resource(scope)))];
}
