import type { FastifyInstance, FastifyRequest } from 'fastify';
import { TokenName } from '#proto/accounts.ts';
import type { Log } from '#proto/bus.ts';
import { isGatewayAction } from '#proto/scopes.ts';
import type { Caller } from './access.ts';
import { parameter } from './routing.ts';

const NAME = new RegExp(TokenName.pattern as string);

/**
 * One line for each write, done or refused, and for each other refusal of somebody who gave credentials. A client that
 * has given none yet, and is told how to, has not been refused. The steps of an upload belong to the write that its
 * end is. Nothing that could be a password is written: no header, no query, no name that no token can have.
 */
export function audit(app: FastifyInstance, log: Log): void {
  app.addHook('onResponse', async (request, reply) => {
    const { needs = 'nothing' } = request.routeOptions.config;
    const { method, caller } = request;
    const { statusCode: status } = reply;
    const isWrite = needs !== 'nothing' && method !== 'GET' && method !== 'HEAD' && status !== 405;
    const isStep = (method === 'POST' || method === 'PATCH') && status === 202;
    // A child that says once more that it is there.
    const isKnown = isGatewayAction(needs) && status === 200;
    const isRefused = caller?.refused === true && status < 500;
    if (!isRefused && (!isWrite || isStep || isKnown)) return;
    const fields = {
      audit: true,
      // Of what needs nothing, only the giving of tokens looks at credentials.
      action: needs === 'nothing' ? 'token' : needs,
      method,
      ...named(request),
      token: tokenOf(caller),
      // What a proxy passes on may be anything.
      address: request.ip.slice(0, 80),
      status,
    };
    log.info(fields, status < 400 ? 'written' : 'refused');
  });
}

function named(request: FastifyRequest): Record<string, string | undefined> {
  const { name, reference, digest, child } = request.params as Record<string, string | undefined>;
  return {
    repository: name?.slice(0, 255),
    child: child?.slice(0, 80),
    reference: reference?.slice(0, 140),
    digest: (digest ?? parameter(request, 'digest') ?? parameter(request, 'mount'))?.slice(0, 140),
  };
}

function tokenOf(caller: Caller | null): string | undefined {
  return caller && NAME.test(caller.name) ? caller.name : undefined;
}
