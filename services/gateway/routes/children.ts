import type { FastifyInstance } from 'fastify';
import { Activation, activateChild, childPath } from '#proto/children.ts';
import { check } from '#proto/contract.ts';
import { Fault } from '#proto/fault.ts';
import { readBody } from '../read-body.ts';
import { childOf, type Gateway, type Handler, resource } from '../routing.ts';

const LIMIT = 4 * 1_024;

/** A layer below says that it is the one instance of its name; another one is answered 409 `ALREADY_ACTIVATED`. */
export function childRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, times } = gateway;
  const activate: Handler = async (request, reply) => {
    const name = childOf(request);
    const body = await readBody(request.raw, { limit: LIMIT, withinMs: times.idleMs, what: 'body' });
    const { instance } = check(Activation, parsed(body));
    const active = await bus.call(activateChild, { name, instance }, { patience: times.patienceMs });
    reply.header('cache-control', 'no-store').type('application/json');
    return reply.send(JSON.stringify(active));
  };
  resource(app, gateway, childPath(':child'), { PUT: ['config/write', activate] });
}

/** @throws Fault `malformed` */
function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new Fault('malformed', 'the body is not JSON: write {"instance":"…"}', { cause });
  }
}
