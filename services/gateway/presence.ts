import type { FastifyRequest } from 'fastify';
import { layersBelow } from '#proto/below.ts';
import type { Bus } from '#proto/bus.ts';
import { activateChild, InstanceId } from '#proto/children.ts';
import { presence } from '#proto/presence.ts';
import { isChild } from '#proto/scopes.ts';
import { mayActAs } from './access.ts';
import { type Gateway, inTheNameOf, parameter } from './routing.ts';

const INSTANCE = new RegExp(InstanceId.pattern as string);

/**
 * Takes the request of a child that waits for changes as the sign that it is there, and that it has its place: so it
 * need not say either in a request of its own.
 * @returns whether all that is to be known of this child is known here; where not, it is to tell it
 * @throws Fault `already-activated`, `unavailable`
 */
export async function noteChild(request: FastifyRequest, gateway: Gateway): Promise<boolean> {
  const child = parameter(request, 'child');
  if (child === undefined || !isChild(child)) return false;
  const { bus } = gateway;
  const instance = parameter(request, 'instance') ?? '';
  if (INSTANCE.test(instance) && mayActAs(request, child, 'config/write')) {
    await bus.call(activateChild, { name: child, instance }, inTheNameOf(request, gateway));
  }
  return mayActAs(request, child, 'message/write') && isNoted(bus, child);
}

async function isNoted(bus: Pick<Bus, 'get' | 'put'>, child: string): Promise<boolean> {
  try {
    await bus.put(presence, child, { seen: Date.now() });
    return (await bus.get(layersBelow, child)) !== undefined;
  } catch {
    // The child tells what it has to tell itself, then.
    return false;
  }
}
