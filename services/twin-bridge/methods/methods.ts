import { Type } from '@sinclair/typebox';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { deactivateMethod, rotateMethod } from './accounts.ts';
import { eventsMethod } from './events.ts';
import { gcMethod } from './gc.ts';
import { type Method, method } from './method.ts';
import { syncMethod } from './sync.ts';

/** The direct methods of the module, by name. `status` gives what the layer says of itself. */
export function directMethods(
  bus: Bus,
  log: Log,
  status: () => Promise<Record<string, unknown>>,
): ReadonlyMap<string, Method> {
  const nothing = Type.Object({}, { additionalProperties: false });
  return new Map<string, Method>([
    ['sync', syncMethod(bus, log, false)],
    ['resync', syncMethod(bus, log, true)],
    ['status', method(nothing, log, async () => ({ status: 200, payload: await status() }))],
    ['gc', gcMethod(bus, log)],
    ['deactivate', deactivateMethod(bus, log)],
    ['rotateToken', rotateMethod(bus, log)],
    ['events', eventsMethod(bus, log)],
  ]);
}
