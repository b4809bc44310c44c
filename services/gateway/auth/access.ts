import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  isGatewayAction,
  isOperateAction,
  type OperateAction,
  operateActions,
} from '#proto/accounts/scopes.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { childParameter, repositoryOf } from '../http/parameters.ts';
import { Authentication, type AuthenticationOptions, type Insufficient } from './authentication.ts';
import {
  type AccessVerdict,
  type CallerIdentity,
  decide,
  decideGateway,
  decideOperate,
  UNRESTRICTED,
} from './authorization.ts';
import { type BearerError, challengeFor, type NeededRight } from './challenge-header.ts';
import { ForeignName } from './foreign-name.ts';
import type { Needs } from './needs.ts';

/**
 * Authentication and authorization of requests. `Access` is the entry: routes call `check` before a request is served,
 * `recheck` after a body or wait that took time; what else the caller may do is asked of `request-caller.ts`.
 *
 * `Authentication` says who it is. A request without credentials is anonymous. Basic credentials go to `PasswordLogin`,
 * which asks `AccountCache` for the account, compares hashes in `PasswordVerifier` and slows down guessing with
 * `Throttle`. A Bearer token is verified by `Bearer` and gives its grant (`docker-scopes.ts`); its account is looked up
 * as well, so that a disabled account or a changed password ends it. `authorization.ts` then decides on grant and
 * account, and `challenge-header.ts` says how to log in; with Basic if clients may know this registry by another name
 * (`foreign-name.ts`). People log in to the page with `Sessions`, which `Logouts` end. `open-layer.ts` protects a layer
 * without accounts against web pages; `access-at-start.ts` decides whom a layer admits while it has no token, and
 * refuses to start one that other machines can reach.
 */

/** Authenticates and authorizes requests: the only place that does. */
export class Access {
  readonly authentication: Authentication;
  readonly #configuration: () => Configuration | undefined;
  readonly #foreignName: ForeignName;
  readonly #openOperate: () => boolean;

  /** @param options `openOperate`: while the layer has no accounts, everyone may operate it, too */
  constructor(options: AuthenticationOptions & { openOperate: () => boolean }) {
    this.authentication = new Authentication(options);
    this.#foreignName = new ForeignName(options.log);
    this.#configuration = options.configuration;
    this.#openOperate = options.openOperate;
  }

  /**
   * Returns synchronously if all that it needs is cached.
   * @throws Fault `unauthorized` with a challenge in the headers; `denied`; `name-unknown` for a repository on which
   * the account has no rights at all; `name-invalid`, `malformed`, `too-many`, `unavailable`
   */
  check(request: FastifyRequest, reply: FastifyReply, needs: Needs): void | Promise<void> {
    if (needs === 'nothing') return;
    const wanted = { needs, target: targetOf(request, needs) };
    const who = this.authentication.identify(request);
    if (who instanceof Promise) return who.then((found) => this.#admit(request, reply, wanted, found));
    this.#admit(request, reply, wanted, who);
  }

  /** Which actions of an operator the caller of an admitted request may do, by its account and its grant. */
  operateRights({ caller }: FastifyRequest): OperateAction[] {
    const identity = caller?.identity;
    if (!identity) return [];
    const needed = (action: OperateAction) => ({ action, openOperate: this.#openOperate() });
    const verdict = (action: OperateAction) => decideOperate(identity.grant?.rules, identity, needed(action));
    return operateActions.filter((action) => verdict(action) === 'allow');
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
    const result = this.authentication.status();
    const status = result instanceof Promise ? await result : result;
    try {
      const wanted = { needs, target: targetOf(request, needs) };
      this.#admit(request, reply, wanted, await this.authentication.refresh(before, status));
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

  #admit(
    request: FastifyRequest,
    reply: FastifyReply,
    wanted: NeededRight,
    who: CallerIdentity | Insufficient,
  ): void {
    const { needs, target } = wanted;
    if ('refused' in who) this.#challenge(request, reply, wanted, who.refused, who.error);
    const verdict = verdictOn(who, wanted, this.#openOperate());
    if (verdict === 'allow') {
      request.caller = { name: who.name, identity: who, refused: false };
      if (!who.anonymous) this.#foreignName.onRequest(request);
      return;
    }
    if (verdict === 'challenge') {
      const error = who.grant && 'insufficient_scope';
      this.#challenge(request, reply, wanted, 'authentication required', error);
    }
    if (verdict === 'deny') {
      if (who === UNRESTRICTED && isOperateAction(needs)) throw new Fault('denied', OPEN_TO_OTHERS);
      throw new Fault(
        'denied',
        `Insufficient scopes to perform the operation: token ${who.name} needs ${needs}${target && ` on ${target}`}`,
      );
    }
    throw unknown(target);
  }

  #challenge(
    request: FastifyRequest,
    reply: FastifyReply,
    wanted: NeededRight,
    message: string,
    error?: BearerError,
  ): never {
    const isForeign = this.#foreignName.mayBe(request);
    // A browser would ask for a password itself, and then send it on its own: the page asks instead.
    const isPage = request.headers['sec-fetch-dest'] === 'empty';
    const kind = isPage ? 'Bearer' : isForeign ? 'Basic' : (this.#configuration()?.challenge ?? 'Bearer');
    reply.header('www-authenticate', challengeFor(request, kind, wanted, error));
    throw new Fault('unauthorized', message);
  }
}

const OPEN_TO_OTHERS =
  'this layer has no accounts and serves other machines, so nobody may operate it: create a token ("terrace token create NAME --operate")';

/** The repository or child that the request concerns. @throws Fault `name-invalid`, `malformed` */
function targetOf(request: FastifyRequest, needs: Needs): string {
  if (needs === 'nothing' || needs === 'login' || needs === 'catalog' || isOperateAction(needs)) return '';
  return isGatewayAction(needs) ? childParameter(request) : repositoryOf(request);
}

function verdictOn(who: CallerIdentity, { needs, target }: NeededRight, openOperate: boolean): AccessVerdict {
  if (needs === 'nothing') return 'allow';
  if (needs === 'login' || needs === 'catalog') return decideLogin(who, needs);
  const grant = who.grant?.rules;
  if (isOperateAction(needs)) return decideOperate(grant, who, { action: needs, openOperate });
  // Without accounts, any layer below may report; only a named account may activate.
  if (who === UNRESTRICTED && needs === 'message/write') return 'allow';
  if (isGatewayAction(needs)) return decideGateway(grant, who, { child: target, action: needs });
  return decide(grant, who, { repository: target, action: needs });
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
function decideLogin({ anonymous, grant }: CallerIdentity, needs: 'login' | 'catalog'): AccessVerdict {
  if (needs === 'catalog' && grant && !grant.catalog) return 'challenge';
  return anonymous && !grant ? 'challenge' : 'allow';
}
