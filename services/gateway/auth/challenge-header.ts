import type { FastifyRequest } from 'fastify';
import { isGatewayAction, isOperateAction } from '#proto/accounts/scopes.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { hostOf, realmUrl } from '../http/locations.ts';
import { CATALOG_SCOPE, gatewayScope, operateScope, scopeFor } from './docker-scopes.ts';
import type { Needs } from './needs.ts';

/** Why a Bearer token is insufficient (RFC 6750, 3.1). */
export type BearerError = 'invalid_token' | 'insufficient_scope';

/** Requested right: an action on the repository or child `target`, one on the layer, the catalog, or only a login. */
export type NeededRight = { needs: Needs; target: string };

/** Value of `WWW-Authenticate`: how to log in (RFC 9110, 11.6.1; "Docker Registry v2 authentication"). */
export function challengeFor(
  request: FastifyRequest,
  kind: Configuration['challenge'],
  { needs, target }: NeededRight,
  error?: BearerError,
): string {
  if (kind === 'Basic') return `Basic realm="${hostOf(request)}", charset="UTF-8"`;
  const fields = [`realm="${realmUrl(request)}"`, `service="${hostOf(request)}"`];
  if (needs === 'catalog') fields.push(`scope="${CATALOG_SCOPE}"`);
  else if (isOperateAction(needs)) fields.push(`scope="${operateScope(needs)}"`);
  else if (needs !== 'login' && needs !== 'nothing') {
    const scope = isGatewayAction(needs) ? gatewayScope(needs, target) : scopeFor(needs, target);
    fields.push(`scope="${scope}"`);
  }
  if (error) fields.push(`error="${error}"`);
  return `Bearer ${fields.join(',')}`;
}
