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
import { type BearerError, challenge, type Wanted } from './challenge.ts';
import { type Credentials, LogIn, type Refused } from './log-in.ts';
import type { Needs } from './needs.ts';

/** Who makes a request, as far as it is known. */
export type Caller = {
  /** Of the token that was named, right or wrong; empty where none was. */
  name: string;
  /** Credentials came, and they are not enough, or not looked at yet. */
  refused: boolean;
  /** Set once the request is let in. */
  identity?: Identity;
};

declare module 'fastify' {
  interface FastifyRequest {
    /** Set where credentials came, and once the request is let in. */
    caller: Caller | null;
  }
  interface FastifyContextConfig {
    needs?: Needs;
  }
}

export type AccessOptions = {
  bus: Bus;
  configuration: () => Configuration | undefined;
  /** Where there is no token at all, everybody may do everything. */
  open: boolean;
  /** How long to wait for storage to come back, in ms. */
  patienceMs: number;
};

/** Who asks while there are no accounts. */
const EVERYBODY: Identity = {
  name: '',
  anonymous: false,
  rules: new Rules(systemScopeMaps._repositories_admin ?? []),
};
const NONE: string[] = [];

/** Lets requests in, or not: the only place that does. */
export class Access {
  readonly #options: AccessOptions;
  readonly #accounts: AccountCache;
  readonly #logIn: LogIn;
  readonly #bearer = new Bearer();
  #patterns = NONE;
  #nobody: Identity = { name: '', anonymous: true, rules: new Rules([]) };

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#accounts = new AccountCache(options.bus, options.patienceMs, () => anybodys(this.#patterns));
    this.#logIn = new LogIn(this.#accounts);
  }

  /**
   * @throws Fault `unauthorized` with a challenge in the headers; `denied`; `name-unknown` for a repository that the
   * account may do nothing with; `name-invalid`, `too-many`, `unavailable`
   */
  async check(request: FastifyRequest, reply: FastifyReply, needs: Needs): Promise<void> {
    if (needs === 'nothing') return;
    const wanted = { needs, whom: whomOf(request, needs) };
    this.#admit(request, reply, wanted, await this.#identify(request));
  }

  /**
   * Looks at the rights again, of a request that took its time: its token may be disabled by now, or may do less.
   * That the Bearer token itself ran out meanwhile counts for nothing.
   * @throws Fault as `check` does
   */
  async recheck(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { needs = 'nothing' } = request.routeOptions.config;
    const before = request.caller?.identity;
    if (needs === 'nothing' || !before) return;
    this.#renew();
    const cache = this.#accounts.status();
    const status = cache instanceof Promise ? await cache : cache;
    try {
      const wanted = { needs, whom: whomOf(request, needs) };
      this.#admit(request, reply, wanted, await this.#still(before, status));
    } catch (error) {
      const refused = before.name !== '';
      if (!Fault.is(error, 'unavailable')) request.caller = { name: before.name, refused };
      throw error;
    }
  }

  /** For an answer that goes on for long: whether whoever asked may still have it. Storage that is away changes nothing. */
  stillAllowed(request: FastifyRequest, reply: FastifyReply): () => Promise<boolean> {
    return () =>
      this.recheck(request, reply).then(
        () => true,
        (error) => !Fault.is(error, 'unauthorized', 'denied', 'name-unknown'),
      );
  }

  /** May everybody do everything now? @throws Fault `unavailable` */
  isOpen(): boolean | Promise<boolean> {
    if (!this.#options.open) return false;
    const cache = this.#accounts.status();
    if (cache instanceof Promise) return cache.then((status) => this.#isOpen(status));
    return this.#isOpen(cache);
  }

  #admit(
    request: FastifyRequest,
    reply: FastifyReply,
    wanted: Wanted,
    who: Identity | (Refused & { error?: BearerError }),
  ): void {
    const { needs, whom } = wanted;
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
        `Insufficient scopes to perform the operation: token ${who.name} needs ${needs} on ${whom}`,
      );
    }
    throw unknown(whom);
  }

  /** Looks up a name and password, for a Bearer token. Nobody needs credentials where everybody may come in. */
  async enter(
    credentials: Credentials | undefined,
    address: string,
  ): Promise<{ identity: Identity; print: string } | Refused> {
    this.#renew();
    const status = await this.#accounts.status();
    if (this.#isOpen(status)) return { identity: EVERYBODY, print: '' };
    if (credentials) return this.#logIn.enter(credentials, address);
    if (this.#patterns.length > 0) return { identity: this.#nobody, print: '' };
    return { refused: 'authentication required' };
  }

  /** A Bearer token for these scopes, or what of them the asker may have. */
  async issue(
    identity: Identity,
    print: string,
    access: Parameters<Bearer['issue']>[1]['access'],
  ): Promise<string> {
    const { key } = await this.#accounts.status();
    return this.#bearer.issue(key, { name: identity.name, print, access });
  }

  async #identify(request: FastifyRequest): Promise<Identity | (Refused & { error?: BearerError })> {
    this.#renew();
    const cache = this.#accounts.status();
    const status = cache instanceof Promise ? await cache : cache;
    if (this.#isOpen(status)) return EVERYBODY;
    const { authorization } = request.headers;
    if (authorization === undefined) return this.#nobody;
    const caller: Caller = { name: '', refused: true };
    request.caller = caller;
    const credentials = basic(authorization);
    if (credentials) {
      caller.name = credentials.name;
      const entered = await this.#logIn.enter(credentials, request.ip);
      return 'refused' in entered ? entered : { ...entered.identity, print: entered.print };
    }
    if (/^bearer(?: |$)/i.test(authorization))
      return this.#bearing(status, authorization.slice(7).trim(), caller);
    return { refused: 'the Authorization header holds neither Basic nor Bearer credentials' };
  }

  async #bearing(
    status: Status,
    jwt: string,
    caller: Caller,
  ): Promise<Identity | (Refused & { error: BearerError })> {
    const verified = await this.#bearer.verify(status.key, jwt);
    if (!verified)
      return { refused: 'the Bearer token is not valid, or not any more', error: 'invalid_token' };
    const { name, print, grant } = verified;
    caller.name = name;
    if (name === '') return { ...this.#nobody, grant };
    const entered = await this.#logIn.again(name, print);
    return 'refused' in entered
      ? { ...entered, error: 'invalid_token' }
      : { ...entered.identity, grant, print };
  }

  async #still({ name, print = '', grant }: Identity, status: Status): Promise<Identity | Refused> {
    if (this.#isOpen(status)) return EVERYBODY;
    const mark = { ...(grant && { grant }), print };
    if (name === '') return { ...this.#nobody, ...mark };
    const entered = await this.#logIn.again(name, print);
    return 'refused' in entered ? entered : { ...entered.identity, ...mark };
  }

  #isOpen({ tokens }: Status): boolean {
    return tokens === 0 && this.#options.open;
  }

  /** What everybody may pull is part of what each account may. */
  #renew(): void {
    const patterns = this.#options.configuration()?.anonymousPull ?? NONE;
    if (patterns === this.#patterns) return;
    this.#patterns = patterns;
    this.#nobody = { name: '', anonymous: true, rules: new Rules(anybodys(patterns)) };
    this.#accounts.forget();
  }

  #challenge(
    request: FastifyRequest,
    reply: FastifyReply,
    wanted: Wanted,
    message: string,
    error?: BearerError,
  ): never {
    const kind = this.#options.configuration()?.challenge ?? 'Bearer';
    reply.header('www-authenticate', challenge(request, kind, wanted, error));
    throw new Fault('unauthorized', message);
  }
}

/** The repository or the child that it is about. @throws Fault `name-invalid` */
function whomOf(request: FastifyRequest, needs: Needs): string {
  if (needs === 'nothing' || needs === 'login' || needs === 'catalog') return '';
  return isGatewayAction(needs) ? childOf(request) : repositoryOf(request);
}

function verdictOn(who: Identity, { needs, whom }: Wanted): Verdict {
  if (needs === 'nothing') return 'allow';
  if (needs === 'login' || needs === 'catalog') return entry(who, needs);
  const grant = who.grant?.rules;
  // What layers without accounts tell is heard; who has a place has a name.
  if (who === EVERYBODY && needs === 'message/write') return 'allow';
  if (isGatewayAction(needs)) return decideGateway(grant, who, { child: whom, action: needs });
  return decide(grant, who, { repository: whom, action: needs });
}

/** May whoever made the request do this too, beside what it was let in for? `*` stands for every repository. */
export function mayAlso({ caller }: FastifyRequest, repository: string, action: RepositoryAction): boolean {
  const identity = caller?.identity;
  return (
    identity !== undefined && decide(identity.grant?.rules, identity, { repository, action }) === 'allow'
  );
}

/**
 * Is the repository one of those that are listed to whoever made the request? With another action: may that be done
 * with it, whatever the token of this request was given for?
 */
export function sees(
  { caller }: FastifyRequest,
  repository: string,
  action: RepositoryAction = 'metadata/read',
): boolean {
  return caller?.identity?.rules.allows(repository, action) ?? false;
}

/** May whoever made the request act as this child, whatever the token of this request was given for? */
export function mayActAs({ caller }: FastifyRequest, child: string, action: GatewayAction): boolean {
  const identity = caller?.identity;
  // What layers without accounts tell is heard.
  if (identity === EVERYBODY) return action === 'message/write';
  return identity?.rules.allowsGateway(child, action) ?? false;
}

/** The same words as storage has for it. */
function unknown(repository: string): Fault {
  return new Fault('name-unknown', `repository ${repository} is not known here`, { detail: { repository } });
}

/** Is this somebody? */
function entry({ anonymous, grant }: Identity, needs: 'login' | 'catalog'): Verdict {
  if (needs === 'catalog' && grant && !grant.catalog) return 'challenge';
  return anonymous && !grant ? 'challenge' : 'allow';
}

const anybodys = (patterns: string[]): string[] =>
  patterns.flatMap((pattern) => [
    `repositories/${pattern}/content/read`,
    `repositories/${pattern}/metadata/read`,
  ]);
