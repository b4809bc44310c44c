import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Bus, Log } from '#proto/bus/bus.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { AccountCache, type Status } from './account-cache.ts';
import { AccessRules, type CallerIdentity, UNRESTRICTED } from './authorization.ts';
import { basic } from './basic.ts';
import { Bearer } from './bearer.ts';
import type { BearerError } from './challenge-header.ts';
import { Logouts } from './logouts.ts';
import { type LoginCredentials, PasswordLogin, type Refused } from './password-login.ts';
import type { RequestCaller } from './request-caller.ts';
import { sessionCookie, sessionCookieOf } from './session-cookie.ts';
import { SESSION_IDLE_MS, type Session, Sessions } from './sessions.ts';

export type AuthenticationOptions = {
  bus: Bus;
  configuration: () => Configuration | undefined;
  /** A layer without any token lets everyone do everything. */
  open: boolean;
  /** How long a call waits for storage to be available again, in ms. */
  patienceMs: number;
  log: Log;
  /** Time of sessions, in ms since 1970. */
  now?: (() => number) | undefined;
};

/** Why a request is not admitted by its credentials; `error` if they are a Bearer token. */
export type Insufficient = Refused & { error?: BearerError };

type Identified = CallerIdentity | Insufficient;

const NONE: string[] = [];

/** Who sends a request: by its credentials, by none, or by the layer having no accounts. */
export class Authentication {
  readonly #options: AuthenticationOptions;
  readonly #accounts: AccountCache;
  readonly #passwordLogin: PasswordLogin;
  readonly #bearer = new Bearer();
  readonly #sessions: Sessions;
  readonly #logouts: Logouts;
  #patterns = NONE;
  #anonymous: CallerIdentity = { name: '', anonymous: true, rules: new AccessRules([]) };

  constructor(options: AuthenticationOptions) {
    this.#options = options;
    this.#sessions = new Sessions(options.now);
    this.#accounts = new AccountCache(options.bus, options.patienceMs, () =>
      anonymousActions(this.#patterns),
    );
    this.#passwordLogin = new PasswordLogin(this.#accounts);
    this.#logouts = new Logouts({ bus: options.bus, accounts: this.#accounts, log: options.log });
  }

  /** Whether everyone may do everything now. @throws Fault `unavailable` */
  isOpen(): boolean | Promise<boolean> {
    if (!this.#options.open) return false;
    const result = this.#accounts.status();
    if (result instanceof Promise) return result.then((status) => this.#isOpen(status));
    return this.#isOpen(result);
  }

  /** State of the accounts, with the current configuration of anonymous pull applied. @throws Fault `unavailable` */
  status(): Status | Promise<Status> {
    this.#applyAnonymousPull();
    return this.#accounts.status();
  }

  /**
   * Identity of the caller, or why its credentials are insufficient; synchronously if all that it needs is cached. Sets
   * `request.caller` if it has any.
   * @throws Fault `too-many`, `unavailable`
   */
  identify(request: FastifyRequest): Identified | Promise<Identified> {
    return after(this.status(), (status) => this.#identify(request, status));
  }

  #identify(request: FastifyRequest, status: Status): Identified | Promise<Identified> {
    if (this.#isOpen(status)) return UNRESTRICTED;
    const { authorization } = request.headers;
    if (authorization === undefined) return this.#identifySession(request, status);
    const caller: RequestCaller = { name: '', refused: true };
    request.caller = caller;
    const credentials = basic(authorization);
    if (credentials) {
      caller.name = credentials.name;
      return after(
        this.#passwordLogin.verify(credentials, () => request.ip),
        (verified) =>
          'refused' in verified ? verified : { ...verified.identity, fingerprint: verified.fingerprint },
      );
    }
    if (/^bearer(?: |$)/i.test(authorization))
      return this.#verifyBearer(status, authorization.slice(7).trim(), caller);
    return { refused: 'the Authorization header holds neither Basic nor Bearer credentials' };
  }

  /** Only routes of the API take sessions: a browser adds their cookie to every request to this host. */
  #identifySession(request: FastifyRequest, { key }: Status): Identified | Promise<Identified> {
    const value = request.routeOptions.config.session ? sessionCookieOf(request) : undefined;
    if (value === undefined) return this.#anonymous;
    return this.#sessions.verify(key, value).then(async (session): Promise<Identified> => {
      // Over, or of another layer: the caller is asked to log in.
      if (!session || (await this.#logouts.isEnded(session))) return this.#anonymous;
      const { name, fingerprint } = session;
      request.caller = { name, refused: true };
      const verified = await this.#passwordLogin.recheck(name, fingerprint);
      return 'refused' in verified ? verified : { ...verified.identity, fingerprint, session };
    });
  }

  /** Begins a session and sends its cookie. */
  async beginSession(
    request: FastifyRequest,
    reply: FastifyReply,
    { identity: { name }, fingerprint }: { identity: CallerIdentity; fingerprint: string },
  ): Promise<Session> {
    const { key } = await this.#accounts.status();
    const { session, value } = await this.#sessions.begin(key, name, fingerprint);
    reply.header('set-cookie', sessionCookie(request, value, SESSION_IDLE_MS));
    return session;
  }

  /** Sends a new cookie if that of the request is old. @returns the session of the request now, if it has one */
  async renewSession(request: FastifyRequest, reply: FastifyReply): Promise<Session | undefined> {
    const session = request.caller?.identity?.session;
    if (!session) return undefined;
    const { key } = await this.#accounts.status();
    const renewed = await this.#sessions.renew(key, session);
    if (!renewed) return session;
    reply.header('set-cookie', sessionCookie(request, renewed.value, SESSION_IDLE_MS));
    return renewed.session;
  }

  /**
   * Deletes the cookie, also if the call fails, and ends the session that it has; another login of the request does not
   * count. @returns the session; undefined without a valid one
   * @throws Fault `unavailable`
   */
  async endSession(request: FastifyRequest, reply: FastifyReply): Promise<Session | undefined> {
    reply.header('set-cookie', sessionCookie(request, '', 0));
    const value = sessionCookieOf(request);
    if (value === undefined) return undefined;
    const { key } = await this.#accounts.status();
    const session = await this.#sessions.verify(key, value);
    return session && (await this.#logouts.end(session)) ? session : undefined;
  }

  /** The same identity with the rights of its account now. Ignores that a Bearer token itself expired. */
  async refresh(
    { name, fingerprint = '', grant, session }: CallerIdentity,
    status: Status,
  ): Promise<CallerIdentity | Refused> {
    if (this.#isOpen(status)) return UNRESTRICTED;
    if (session && (!this.#sessions.isValid(session) || (await this.#logouts.isEnded(session))))
      return { refused: 'the session is over: log in again' };
    const carried = { ...(grant && { grant }), fingerprint, ...(session && { session }) };
    if (name === '') return { ...this.#anonymous, ...carried };
    const verified = await this.#passwordLogin.recheck(name, fingerprint);
    return 'refused' in verified ? verified : { ...verified.identity, ...carried };
  }

  /**
   * Checks a name and password for a Bearer token. An open layer admits everyone, with or without credentials;
   * otherwise, a caller without credentials is admitted if anonymous pull is configured.
   */
  async verify(
    credentials: LoginCredentials | undefined,
    address: () => string,
  ): Promise<{ identity: CallerIdentity; fingerprint: string } | Refused> {
    const status = await this.status();
    if (this.#isOpen(status)) return { identity: UNRESTRICTED, fingerprint: '' };
    if (credentials) return this.#passwordLogin.verify(credentials, address);
    if (this.#patterns.length > 0) return { identity: this.#anonymous, fingerprint: '' };
    return { refused: 'authentication required' };
  }

  /** A Bearer token with these scopes, which the caller has narrowed to the rights of the identity (`narrow`). */
  async issue(
    identity: CallerIdentity,
    fingerprint: string,
    access: Parameters<Bearer['issue']>[1]['access'],
  ): Promise<string> {
    const { key } = await this.#accounts.status();
    return this.#bearer.issue(key, { name: identity.name, fingerprint, access });
  }

  #verifyBearer(status: Status, jwt: string, caller: RequestCaller): Identified | Promise<Identified> {
    return after(this.#bearer.verify(status.key, jwt), (token): Identified | Promise<Identified> => {
      if (!token) return { refused: 'the Bearer token is invalid or expired', error: 'invalid_token' };
      const { name, fingerprint, grant } = token;
      caller.name = name;
      if (name === '') return { ...this.#anonymous, grant };
      return after(
        this.#passwordLogin.recheck(name, fingerprint),
        (verified): Identified =>
          'refused' in verified
            ? { ...verified, error: 'invalid_token' }
            : { ...verified.identity, grant, fingerprint },
      );
    });
  }

  #isOpen({ tokens }: Status): boolean {
    return tokens === 0 && this.#options.open;
  }

  /** Every account also has the rights of anonymous pull: a change of these invalidates all cached accounts. */
  #applyAnonymousPull(): void {
    const patterns = this.#options.configuration()?.anonymousPull ?? NONE;
    if (patterns === this.#patterns) return;
    this.#patterns = patterns;
    this.#anonymous = { name: '', anonymous: true, rules: new AccessRules(anonymousActions(patterns)) };
    this.#accounts.forget();
  }
}

/** Continues with a value at once, or when it is there. */
const after = <T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> =>
  value instanceof Promise ? value.then(next) : next(value);

const anonymousActions = (patterns: string[]): string[] =>
  patterns.flatMap((pattern) => [
    `repositories/${pattern}/content/read`,
    `repositories/${pattern}/metadata/read`,
  ]);
