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
import { childOf } from '../http/parameters.ts';
import { readBody } from '../http/read-body.ts';
import { addressOf } from './presence.ts';
import { type Gateway, type Handler, inTheNameOf, resource } from './resource.ts';

const LIMIT = 4 * 1_024;
const REMEDY = 'write { "instance": "<UUID in lower case>" }';

/** What the layers below tell of themselves; one that writes nothing into a repository may do so in a ReadOnly layer, too. */
export function childRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, times, access } = gateway;

  /** The first instance of a child that asks has its place, until it is taken from it. */
  const activate: Handler = async (request, reply) => {
    const child = childOf(request);
    const reading = { what: 'activation', limit: LIMIT, withinMs: times.idleMs };
    const { instance, start } = activationIn((await readBody(request.raw, reading)).toString());
    await access.recheck(request, reply);
    const query = { name: child, instance, ...(start && { start }), address: addressOf(request) };
    const { made, since } = await bus.call(activateChild, query, inTheNameOf(request, gateway));
    const answer: Activated = { child, instance, since };
    reply
      .code(made ? 201 : 200)
      .header('cache-control', 'no-store')
      .type('application/json');
    return reply.send(JSON.stringify(answer));
  };
  resource(app, gateway, childPath(':child'), { PUT: ['config/write', activate] });
}

/** @throws Fault `malformed` */
function activationIn(text: string): LayerIdentity {
  try {
    return parse(Activation, text);
  } catch (cause) {
    throw new Fault('malformed', `the body is no activation: ${REMEDY}`, { cause });
  }
}
