import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  type GatewayAction,
  isGatewayAction,
  type RepositoryAction,
  systemScopeMaps,
} from '#proto/accounts/scopes.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { childOf, repositoryOf } from '../http/parameters.ts';
import { AccountCache, type Status } from './account-cache.ts';
import { decide, decideGateway, type Identity, Rules, type Verdict } from './authorization.ts';
import { basic } from './basic.ts';
import { Bearer } from './bearer.ts';
import { type BearerError, challenge, type NeededRight } from './challenge.ts';
import { type Credentials, LogIn, type Refused } from './log-in.ts';
import type { Needs } from './needs.ts';

/**
 * Authentication and authorization of requests. `Access` is the entry: routes call `check` before a request is served,
 * `recheck` after a body or wait that took time.
 *
 * A request without credentials is anonymous. Basic credentials go to `LogIn`, which asks `AccountCache` for the
 * account, compares hashes in `Passwords` and slows down guessing with `Throttle`. A Bearer token is verified by
 * `Bearer` and gives its grant (`docker-scopes.ts`); its account is looked up as well, so that a disabled account or a
 * changed password ends it. `authorization.ts` then decides on grant and account, and `challenge.ts` says how to log
 * in. `open-layer.ts` protects a layer without accounts against web pages; `access-at-start.ts` refuses to start one
 * that other machines can reach.
 */

/** The caller of a request, as far as it is known. */
export type Caller = {
  /** Name of the token that the request names, valid or not; empty if it names none. */
  name: string;
  /** The request has credentials that are insufficient or not checked yet. */
  refused: boolean;
  /** Set once the request is admitted. */
  identity?: Identity;
};

declare module 'fastify' {
  interface FastifyRequest {
    /** Set if the request has credentials, and once it is admitted. */
    caller: Caller | null;
  }
  interface FastifyContextConfig {
    needs?: Needs;
  }
}

export type AccessOptions = {
  bus: Bus;
  configuration: () => Configuration | undefined;
  /** A layer without any token lets everyone do everything. */
  open: boolean;
  /** How long a call waits for storage to be available again, in ms. */
  patienceMs: number;
};

/** Identity of every caller while the layer has no accounts. */
const UNRESTRICTED: Identity = {
  name: '',
  anonymous: false,
  rules: new Rules(systemScopeMaps._repositories_admin ?? []),
};
const NONE: string[] = [];

/** Authenticates and authorizes requests: the only place that does. */
export class Access {
  readonly #options: AccessOptions;
  readonly #accounts: AccountCache;
  readonly #logIn: LogIn;
  readonly #bearer = new Bearer();
  #patterns = NONE;
  #anonymous: Identity = { name: '', anonymous: true, rules: new Rules([]) };

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#accounts = new AccountCache(options.bus, options.patienceMs, () =>
      anonymousActions(this.#patterns),
    );
    this.#logIn = new LogIn(this.#accounts);
  }

  /**
   * @throws Fault `unauthorized` with a challenge in the headers; `denied`; `name-unknown` for a repository on which
   * the account has no rights at all; `name-invalid`, `malformed`, `too-many`, `unavailable`
   */
  async check(request: FastifyRequest, reply: FastifyReply, needs: Needs): Promise<void> {
    if (needs === 'nothing') return;
    const wanted = { needs, target: targetOf(request, needs) };
    this.#admit(request, reply, wanted, await this.#identify(request));
  }

  /**
   * Checks the rights again after a long request: its token may be disabled by now, or have fewer rights. Ignores that
   * the Bearer token itself expired in the meantime.
   * @throws Fault as `check` does
   */
  async recheck(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { needs = 'nothing' } = request.routeOptions.config;
    const before = request.caller?.identity;
    if (needs === 'nothing' || !before) return;
    this.#applyAnonymousPull();
    const result = this.#accounts.status();
    const status = result instanceof Promise ? await result : result;
    try {
      const wanted = { needs, target: targetOf(request, needs) };
      this.#admit(request, reply, wanted, await this.#refresh(before, status));
    } catch (error) {
      const refused = before.name !== '';
      if (!Fault.is(error, 'unavailable')) request.caller = { name: before.name, refused };
      throw error;
    }
  }

  /**
   * For a long response: returns a check whether its caller may still receive it. An outage of storage does not change
   * the result.
   */
  stillAllowed(request: FastifyRequest, reply: FastifyReply): () => Promise<boolean> {
    return () =>
      this.recheck(request, reply).then(
        () => true,
        (error) => !Fault.is(error, 'unauthorized', 'denied', 'name-unknown'),
      );
  }

  /** Whether everyone may do everything now. @throws Fault `unavailable` */
  isOpen(): boolean | Promise<boolean> {
    if (!this.#options.open) return false;
    const result = this.#accounts.status();
    if (result instanceof Promise) return result.then((status) => this.#isOpen(status));
    return this.#isOpen(result);
  }

  #admit(
    request: FastifyRequest,
    reply: FastifyReply,
    wanted: NeededRight,
    who: Identity | (Refused & { error?: BearerError }),
  ): void {
    const { needs, target } = wanted;
    if ('refused' in who) this.#challenge(request, reply, wanted, who.refused, who.error);
    const verdict = verdictOn(who, wanted);
    if (verdict === 'allow') {
      request.caller = { name: who.name, identity: who, refused: false };
      return;
    }
    if (verdict === 'challenge') {
      const error = who.grant && 'insufficient_scope';
      this.#challenge(request, reply, wanted, 'authentication required', error);
    }
    if (verdict === 'deny') {
      throw new Fault(
        'denied',
        `Insufficient scopes to perform the operation: token ${who.name} needs ${needs} on ${target}`,
      );
    }
    throw unknown(target);
  }

  /**
   * Checks a name and password for a Bearer token. An open layer admits everyone, with or without credentials;
   * otherwise, a caller without credentials is admitted if anonymous pull is configured.
   */
  async enter(
    credentials: Credentials | undefined,
    address: string,
  ): Promise<{ identity: Identity; print: string } | Refused> {
    this.#applyAnonymousPull();
    const status = await this.#accounts.status();
    if (this.#isOpen(status)) return { identity: UNRESTRICTED, print: '' };
    if (credentials) return this.#logIn.enter(credentials, address);
    if (this.#patterns.length > 0) return { identity: this.#anonymous, print: '' };
    return { refused: 'authentication required' };
  }

  /** A Bearer token with these scopes, which the caller has narrowed to the rights of the identity (`narrow`). */
  async issue(
    identity: Identity,
    print: string,
    access: Parameters<Bearer['issue']>[1]['access'],
  ): Promise<string> {
    const { key } = await this.#accounts.status();
    return this.#bearer.issue(key, { name: identity.name, print, access });
  }

  async #identify(request: FastifyRequest): Promise<Identity | (Refused & { error?: BearerError })> {
    this.#applyAnonymousPull();
    const result = this.#accounts.status();
    const status = result instanceof Promise ? await result : result;
    if (this.#isOpen(status)) return UNRESTRICTED;
    const { authorization } = request.headers;
    if (authorization === undefined) return this.#anonymous;
    const caller: Caller = { name: '', refused: true };
    request.caller = caller;
    const credentials = basic(authorization);
    if (credentials) {
      caller.name = credentials.name;
      const entered = await this.#logIn.enter(credentials, request.ip);
      return 'refused' in entered ? entered : { ...entered.identity, print: entered.print };
    }
    if (/^bearer(?: |$)/i.test(authorization))
      return this.#verifyBearer(status, authorization.slice(7).trim(), caller);
    return { refused: 'the Authorization header holds neither Basic nor Bearer credentials' };
  }

  async #verifyBearer(
    status: Status,
    jwt: string,
    caller: Caller,
  ): Promise<Identity | (Refused & { error: BearerError })> {
    const verified = await this.#bearer.verify(status.key, jwt);
    if (!verified) return { refused: 'the Bearer token is invalid or expired', error: 'invalid_token' };
    const { name, print, grant } = verified;
    caller.name = name;
    if (name === '') return { ...this.#anonymous, grant };
    const entered = await this.#logIn.recheck(name, print);
    return 'refused' in entered
      ? { ...entered, error: 'invalid_token' }
      : { ...entered.identity, grant, print };
  }

  async #refresh({ name, print = '', grant }: Identity, status: Status): Promise<Identity | Refused> {
    if (this.#isOpen(status)) return UNRESTRICTED;
    const carried = { ...(grant && { grant }), print };
    if (name === '') return { ...this.#anonymous, ...carried };
    const entered = await this.#logIn.recheck(name, print);
    return 'refused' in entered ? entered : { ...entered.identity, ...carried };
  }

  #isOpen({ tokens }: Status): boolean {
    return tokens === 0 && this.#options.open;
  }

  /** Every account also has the rights of anonymous pull: a change of these invalidates all cached accounts. */
  #applyAnonymousPull(): void {
    const patterns = this.#options.configuration()?.anonymousPull ?? NONE;
    if (patterns === this.#patterns) return;
    this.#patterns = patterns;
    this.#anonymous = { name: '', anonymous: true, rules: new Rules(anonymousActions(patterns)) };
    this.#accounts.forget();
  }

  #challenge(
    request: FastifyRequest,
    reply: FastifyReply,
    wanted: NeededRight,
    message: string,
    error?: BearerError,
  ): never {
    const kind = this.#options.configuration()?.challenge ?? 'Bearer';
    reply.header('www-authenticate', challenge(request, kind, wanted, error));
    throw new Fault('unauthorized', message);
  }
}

/** The repository or child that the request concerns. @throws Fault `name-invalid`, `malformed` */
function targetOf(request: FastifyRequest, needs: Needs): string {
  if (needs === 'nothing' || needs === 'login' || needs === 'catalog') return '';
  return isGatewayAction(needs) ? childOf(request) : repositoryOf(request);
}

function verdictOn(who: Identity, { needs, target }: NeededRight): Verdict {
  if (needs === 'nothing') return 'allow';
  if (needs === 'login' || needs === 'catalog') return decideLogin(who, needs);
  const grant = who.grant?.rules;
  // Without accounts, any layer below may report; only a named account may activate.
  if (who === UNRESTRICTED && needs === 'message/write') return 'allow';
  if (isGatewayAction(needs)) return decideGateway(grant, who, { child: target, action: needs });
  return decide(grant, who, { repository: target, action: needs });
}

/**
 * Whether the request may also do this, by its grant and by the rights of its account. `*` stands for every repository.
 */
export function mayAlso({ caller }: FastifyRequest, repository: string, action: RepositoryAction): boolean {
  const identity = caller?.identity;
  return (
    identity !== undefined && decide(identity.grant?.rules, identity, { repository, action }) === 'allow'
  );
}

/**
 * Whether the repository is listed to the caller; with `action`, whether its account may do that there. Ignores the
 * grant of the request.
 */
export function sees(
  { caller }: FastifyRequest,
  repository: string,
  action: RepositoryAction = 'metadata/read',
): boolean {
  return caller?.identity?.rules.allows(repository, action) ?? false;
}

/** Whether the account of the caller may act as this child. Ignores the grant of the request. */
export function mayActAs({ caller }: FastifyRequest, child: string, action: GatewayAction): boolean {
  const identity = caller?.identity;
  // Without accounts, any layer below may report.
  if (identity === UNRESTRICTED) return action === 'message/write';
  return identity?.rules.allowsGateway(child, action) ?? false;
}

/** Same message as storage, so that it does not reveal whether the repository exists. */
function unknown(repository: string): Fault {
  return new Fault('name-unknown', `repository ${repository} is not known here`, {
    detail: { repository },
  });
}

/**
 * Decides `login` and `catalog`: an anonymous caller needs a Bearer token, and a Bearer token needs the catalog scope.
 */
function decideLogin({ anonymous, grant }: Identity, needs: 'login' | 'catalog'): Verdict {
  if (needs === 'catalog' && grant && !grant.catalog) return 'challenge';
  return anonymous && !grant ? 'challenge' : 'allow';
}

const anonymousActions = (patterns: string[]): string[] =>
  patterns.flatMap((pattern) => [
    `repositories/${pattern}/content/read`,
    `repositories/${pattern}/metadata/read`,
  ]);
