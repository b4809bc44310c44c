import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { basic } from '../auth/basic.ts';
import { LIFETIME_S } from '../auth/bearer.ts';
import { challengeFor } from '../auth/challenge-header.ts';
import { narrow } from '../auth/docker-scopes.ts';
import type { LoginCredentials } from '../auth/password-login.ts';
import { parameters } from '../http/parameters.ts';
import { readBody } from '../http/read-body.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

const FORM = 'application/x-www-form-urlencoded';
const MAX_FORM_BYTES = 64 * 1_024;

/** Docker's token protocol, and the form of it that Azure Container Registry's clients use (OAuth 2, RFC 6749). */
export function registerTokenRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { access, times } = gateway;

  /** @throws Fault `unauthorized` */
  const issue = async (
    request: FastifyRequest,
    reply: FastifyReply,
    credentials: LoginCredentials | undefined,
    scopes: string[],
  ): Promise<FastifyReply> => {
    request.caller = { name: credentials?.name ?? '', refused: credentials !== undefined };
    const verified = await access.authentication.verify(credentials, () => request.ip);
    if ('refused' in verified) {
      const wanted = { needs: 'login', target: '' } as const;
      reply.header('www-authenticate', challengeFor(request, 'Basic', wanted));
      throw new Fault('unauthorized', verified.refused);
    }
    const { identity, fingerprint } = verified;
    const token = await access.authentication.issue(identity, fingerprint, narrow(scopes, identity.rules));
    request.caller.refused = false;
    const issued_at = new Date().toISOString();
    // RFC 6749, 5.1: must not be cached.
    reply.headers({ 'cache-control': 'no-store', pragma: 'no-cache' }).type('application/json');
    return reply.send(JSON.stringify({ token, access_token: token, expires_in: LIFETIME_S, issued_at }));
  };

  // "Docker Registry v2 authentication", "Requesting a Token"
  const get: RouteHandler = (request, reply) =>
    issue(request, reply, basic(request.headers.authorization), parameters(request, 'scope'));

  // "Docker Registry v2 authentication via OAuth2", "Getting a token"
  const post: RouteHandler = async (request, reply) => {
    if (request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() !== FORM) {
      return refuse(reply, 'invalid_request', `the body must be ${FORM}`);
    }
    const reading = { what: 'form', limit: MAX_FORM_BYTES, withinMs: times.idleMs };
    const form = new URLSearchParams((await readBody(request.raw, reading)).toString());
    const grantType = form.get('grant_type') ?? 'password';
    if (grantType !== 'password')
      return refuse(reply, 'unsupported_grant_type', 'grant_type must be password');
    const name = form.get('username');
    const password = form.get('password');
    const credentials =
      name === null ? basic(request.headers.authorization) : { name, password: password ?? '' };
    return issue(request, reply, credentials, form.getAll('scope'));
  };

  const answer = '200: a Bearer token for the scopes; 401: the login is refused';
  // Every proxy forwards paths below /v2/; clients of Azure Container Registry use the others.
  for (const path of ['/v2/token', '/acr/oauth2/token', '/oauth2/token']) {
    registerResource(app, gateway, path, {
      GET: { needs: 'nothing', handler: get, answer },
      POST: { needs: 'nothing', handler: post, answer: `${answer}; 400: the form is not valid (RFC 6749)` },
    });
  }
}

/** RFC 6749, 5.2 */
function refuse(reply: FastifyReply, error: string, error_description: string): FastifyReply {
  return reply.code(400).type('application/json').send(JSON.stringify({ error, error_description }));
}
