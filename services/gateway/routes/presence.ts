import { Value } from '@sinclair/typebox/value';
import type { FastifyRequest } from 'fastify';
import { Address, activateChild, InstanceId, Start } from '#proto/accounts/children.ts';
import { isChild } from '#proto/accounts/scopes.ts';
import type { StateReader, StateWriter } from '#proto/bus/roles.ts';
import { layersBelow } from '#proto/status/layers-below.ts';
import { presence } from '#proto/status/presence.ts';
import { mayActAs } from '../auth/caller.ts';
import { parameter } from '../http/parameters.ts';
import { type Gateway, onBehalfOf } from './resource.ts';

const INSTANCE = new RegExp(InstanceId.pattern as string);
const ADDRESS = new RegExp(Address.pattern as string);

/**
 * Takes the long poll of a child for changes as its sign of presence, and as its activation if it names its instance:
 * the child then sends no separate requests for these.
 * @returns whether everything about this child is known here; if not, the child must report it
 * @throws Fault `already-activated`, `unavailable`
 */
export async function recordPresence(request: FastifyRequest, gateway: Gateway): Promise<boolean> {
  const child = parameter(request, 'child');
  if (child === undefined || !isChild(child)) return false;
  const { bus } = gateway;
  const instance = parameter(request, 'instance') ?? '';
  if (INSTANCE.test(instance) && mayActAs(request, child, 'config/write')) {
    const start = startIn(parameter(request, 'start'));
    const query = { name: child, instance, ...(start && { start }), address: clientAddress(request) };
    await bus.call(activateChild, query, onBehalfOf(request, gateway));
  }
  return mayActAs(request, child, 'message/write') && isNoted(bus, child);
}

/** The start in a query; undefined if it is invalid. */
function startIn(text: string | undefined): Start | undefined {
  const [id, at, ended, before = ''] = text?.split('.') ?? [];
  const start = {
    id,
    at: Number(at),
    before: before === '' ? [] : before.split('-'),
    ended: Number(ended),
  };
  return Value.Check(Start, start) ? start : undefined;
}

/** Address of the client; `unknown` if a proxy forwards something that is not an address. */
export const clientAddress = ({ ip }: FastifyRequest): string => (ADDRESS.test(ip) ? ip : 'unknown');

async function isNoted(bus: StateReader & StateWriter, child: string): Promise<boolean> {
  try {
    await bus.put(presence, child, { seen: Date.now() });
    return (await bus.get(layersBelow, child)) !== undefined;
  } catch {
    // The child then reports by itself.
    return false;
  }
}
