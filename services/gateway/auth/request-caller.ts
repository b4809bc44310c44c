import type { FastifyRequest } from 'fastify';
import type { GatewayAction, RepositoryAction } from '#proto/accounts/scopes.ts';
import type { CallOptions } from '#proto/bus/calls.ts';
import { type CallerIdentity, decide, UNRESTRICTED } from './authorization.ts';
import type { Needs } from './needs.ts';

/** The caller of a request, as far as it is known. */
export type RequestCaller = {
  /** Name of the token that the request names, valid or not; empty if it names none. */
  name: string;
  /** The request has credentials that are insufficient or not checked yet. */
  refused: boolean;
  /** Set once the request is admitted. */
  identity?: CallerIdentity;
};

declare module 'fastify' {
  interface FastifyRequest {
    /** Set if the request has credentials, and once it is admitted. */
    caller: RequestCaller | null;
  }
  interface FastifyContextConfig {
    needs?: Needs;
  }
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

/** Options of a call that changes storage: on behalf of the account that makes the request. */
export function onBehalfOf(
  { caller }: FastifyRequest,
  { times }: { times: { patienceMs: number } },
): CallOptions {
  return { patience: times.patienceMs, behalf: caller?.identity?.name };
}
