import type { FastifyInstance } from 'fastify';
import {
  type Activated,
  Activation,
  activateChild,
  childPath,
  type LayerIdentity,
} from '#proto/accounts/children.ts';
import { parse } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { onBehalfOf } from '../auth/request-caller.ts';
import { clientAddress } from '../children/child-presence.ts';
import { childParameter } from '../http/parameters.ts';
import { readBody } from '../http/read-body.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

const MAX_ACTIVATION_BYTES = 4 * 1_024;
const REMEDY = 'write { "instance": "<UUID in lower case>" }';

/** Activation of layers below. It writes nothing into a repository, so a ReadOnly layer allows it too. */
export function registerChildRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, times, access } = gateway;

  /** The first instance of a child that activates is the active one until it is deactivated. */
  const activate: RouteHandler = async (request, reply) => {
    const child = childParameter(request);
    const reading = { what: 'activation', limit: MAX_ACTIVATION_BYTES, withinMs: times.idleMs };
    const { instance, start } = parseActivation((await readBody(request.raw, reading)).toString());
    await access.recheck(request, reply);
    const query = { name: child, instance, ...(start && { start }), address: clientAddress(request) };
    const { made, since } = await bus.call(activateChild, query, onBehalfOf(request, gateway));
    const answer: Activated = { child, instance, since };
    reply
      .code(made ? 201 : 200)
      .header('cache-control', 'no-store')
      .type('application/json');
    return reply.send(JSON.stringify(answer));
  };
  registerResource(app, gateway, childPath(':child'), {
    PUT: {
      needs: 'config/write',
      handler: activate,
      answer: '201: the instance is active; 200: it was already; 409: another one is (`ALREADY_ACTIVATED`)',
    },
  });
}

/** @throws Fault `malformed` */
function parseActivation(text: string): LayerIdentity {
  try {
    return parse(Activation, text);
  } catch (cause) {
    throw new Fault('malformed', `the body is not an activation: ${REMEDY}`, { cause });
  }
}
