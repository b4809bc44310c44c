import { Fault } from '#proto/contract/fault.ts';
import { readChallenge } from './challenge.ts';

export type Login = { username: string; password: string };

/** `expiresIn` in seconds; undefined where nobody said. */
export type Granted = { token: string; expiresIn: number | undefined };

/** Fetches a token: given by the client, so that this file does no I/O of its own. */
export type AskToken = (url: URL, authorization: string | undefined) => Promise<Granted>;

/** Where tokens come from that no user and password are given for. */
export type TokenSource = {
  token(realm: URL, service: string | undefined, scopes: string[]): Promise<Granted>;
  /** The parent did not take a token of it. */
  refused(): void;
};

type Token = { token: string; until: number };

const EARLY_MS = 10_000;
const MIN_MS = 5_000;
/** Tokens that are kept, one for each scope: a parent has as many repositories as it likes. */
const MAX_TOKENS = 1_000;
/** Of a token that does not say when it ends, in seconds (distribution's specification). */
const LIFE_S = 60;

/**
 * What to send as `Authorization`, learned from the parent's challenges: nothing, Basic, or a Bearer token for each
 * scope (distribution's token authentication specification). Tokens are renewed shortly before they end.
 */
export class Credentials {
  readonly #base: URL;
  readonly #login: Login | undefined;
  readonly #ask: AskToken;
  readonly #source: TokenSource | undefined;
  readonly #now: () => number;
  #realm: { url: URL; service: string | undefined } | undefined;
  #basic = false;
  readonly #tokens = new Map<string, Promise<Token>>();

  constructor(
    base: URL,
    login: Login | undefined,
    ask: AskToken,
    { source, now = () => Date.now() }: { source?: TokenSource | undefined; now?: () => number } = {},
  ) {
    this.#source = source;
    this.#now = now;
    this.#base = base;
    this.#login = login;
    this.#ask = ask;
  }

  /** The header for a request of this scope, as far as is known; undefined: ask without. */
  async header(scope: string): Promise<string | undefined> {
    if (this.#basic) return this.#basicHeader();
    if (!this.#realm) return undefined;
    return bearer(await this.#token(scope, ({ until }) => until > this.#now()));
  }

  /**
   * Learns from a 401. @returns whether asking again with a new header makes sense
   * @throws Fault `parent-invalid`, `parent-refused`, `parent-unreachable`
   */
  async challenged(
    header: string | string[] | undefined,
    scope: string,
    sent: string | undefined,
  ): Promise<boolean> {
    const challenge = readChallenge(header);
    if (!challenge) return false;
    if (challenge.scheme === 'basic') {
      if (!this.#login || sent?.startsWith('Basic ')) return false;
      this.#basic = true;
      return true;
    }
    const { realm, service, scope: named } = challenge.parameters;
    if (!realm) throw new Fault('parent-invalid', "the parent's Bearer challenge names no realm");
    const url = URL.canParse(realm, this.#base.href) ? new URL(realm, this.#base) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) {
      throw new Fault('parent-invalid', "the parent's Bearer challenge names no address of http or https");
    }
    if (this.#base.protocol === 'https:' && url.protocol !== 'https:') {
      throw new Fault('parent-invalid', `the parent names a token realm without TLS: ${url.origin}`);
    }
    this.#realm = { url, service };
    if (sent?.startsWith('Bearer ')) this.#source?.refused();
    // Another request may have met the same challenge before.
    await this.#token(scope, (token) => bearer(token) !== sent, named);
    return true;
  }

  #basicHeader(): string | undefined {
    if (!this.#login) return undefined;
    const { username, password } = this.#login;
    return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }

  /**
   * Behind the proxy of a layer without a registry, a parent names its realm as the layer above knows it, and that may
   * be out of reach from here. What lies below /v2/ goes through every proxy, so it is asked for there.
   */
  async #fetch(asked: URL): Promise<Granted> {
    try {
      return await this.#ask(asked, this.#basicHeader());
    } catch (error) {
      const elsewhere = asked.origin !== this.#base.origin && asked.pathname.startsWith('/v2/');
      if (!elsewhere || !Fault.is(error, 'parent-unreachable', 'parent-invalid')) throw error;
      const { pathname, search } = asked;
      const answer = await this.#ask(new URL(`${pathname}${search}`, this.#base), this.#basicHeader());
      if (this.#realm) this.#realm.url = new URL(this.#realm.url.pathname, this.#base);
      return answer;
    }
  }

  /** One request for a token at a time for each scope, whose failure is that of all who wait for it. */
  async #token(scope: string, good: (token: Token) => boolean, named = scope): Promise<Token> {
    for (;;) {
      const known = this.#tokens.get(scope);
      if (!known) return this.#renew(scope, named);
      const token = await known;
      if (good(token)) return token;
      if (this.#tokens.get(scope) === known) this.#tokens.delete(scope);
    }
  }

  async #renew(scope: string, named: string): Promise<Token> {
    const { url, service } = this.#realm as { url: URL; service: string | undefined };
    const asked = new URL(url);
    if (service) asked.searchParams.set('service', service);
    const scopes = allOf(named, scope);
    for (const one of scopes) asked.searchParams.append('scope', one);
    const granted = this.#source ? this.#source.token(url, service, scopes) : this.#fetch(asked);
    const renewal = granted.then(({ token, expiresIn = LIFE_S }) => ({
      token,
      until: this.#now() + Math.max(MIN_MS, expiresIn * 1_000 - EARLY_MS),
    }));
    this.#tokens.delete(scope);
    this.#tokens.set(scope, renewal);
    // The one that was renewed longest ago is asked for again when it is needed.
    if (this.#tokens.size > MAX_TOKENS) this.#tokens.delete(this.#tokens.keys().next().value as string);
    renewal.catch((error) => {
      if (this.#tokens.get(scope) === renewal) this.#tokens.delete(scope);
      // The parent may have named another place by now: its next challenge tells.
      if (Fault.is(error, 'parent-invalid') && this.#realm?.url === url) this.#realm = undefined;
    });
    return renewal;
  }
}

const bearer = ({ token }: Token): string => `Bearer ${token}`;

/** The scopes that a challenge names, and those of ours whose resources it does not: a mount needs two. */
function allOf(named: string, own: string): string[] {
  const scopes = named.split(' ').filter(Boolean);
  const resource = (scope: string) => scope.slice(0, scope.lastIndexOf(':'));
  const known = new Set(scopes.map(resource));
  return [...scopes, ...own.split(' ').filter((scope) => !known.has(resource(scope)))];
}
