import type { FastifyRequest } from 'fastify';
import { Address, activateChild, InstanceId, Start } from '#proto/accounts/children.ts';
import { isChild } from '#proto/accounts/scopes.ts';
import type { BusCaller, StateReader, StateWriter } from '#proto/bus/roles.ts';
import { matches } from '#proto/contract/schema-check.ts';
import { layersBelow } from '#proto/status/layers-below.ts';
import { presence } from '#proto/status/presence.ts';
import { mayActAs, onBehalfOf } from '../auth/request-caller.ts';
import { parameter } from '../http/parameters.ts';

const INSTANCE = new RegExp(InstanceId.pattern as string);
const ADDRESS = new RegExp(Address.pattern as string);

export type PresenceDeps = {
  bus: BusCaller & StateReader & StateWriter;
  times: { patienceMs: number };
};

/**
 * Takes the long poll of a child for changes as its sign of presence, and as its activation if it names its instance:
 * the child then sends no separate requests for these.
 * @returns whether everything about this child is known here; if not, the child must report it
 * @throws Fault `already-activated`, `unavailable`
 */
export async function recordPresence(request: FastifyRequest, deps: PresenceDeps): Promise<boolean> {
  const child = parameter(request, 'child');
  if (child === undefined || !isChild(child)) return false;
  const { bus } = deps;
  const instance = parameter(request, 'instance') ?? '';
  if (INSTANCE.test(instance) && mayActAs(request, child, 'config/write')) {
    const start = startIn(parameter(request, 'start'));
    const query = { name: child, instance, ...(start && { start }), address: clientAddress(request) };
    await bus.call(activateChild, query, onBehalfOf(request, deps));
  }
  return mayActAs(request, child, 'message/write') && recordContact(bus, child);
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
  return matches(Start, start) ? start : undefined;
}

/** Address of the client; `unknown` if a proxy forwards something that is not an address. */
export const clientAddress = ({ ip }: FastifyRequest): string => (ADDRESS.test(ip) ? ip : 'unknown');

/** Stores that the child has been in contact now. @returns whether its last report is stored here */
async function recordContact(bus: StateReader & StateWriter, child: string): Promise<boolean> {
  try {
    await bus.put(presence, child, { seen: Date.now() });
    return (await bus.get(layersBelow, child)) !== undefined;
  } catch {
    // The child then reports by itself.
    return false;
  }
}
