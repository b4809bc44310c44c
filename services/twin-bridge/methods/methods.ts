import type { Bus, Log } from '#proto/bus/bus.ts';
import { Type } from '#proto/contract/schema.ts';
import { deactivateMethod, rotateMethod } from './accounts.ts';
import { eventsMethod } from './events.ts';
import { gcMethod } from './gc.ts';
import { type DirectMethod, method } from './method.ts';
import { pauseMethod, resumeMethod } from './pause.ts';
import { syncMethod } from './sync.ts';

/**
 * Direct methods of the module (IoT Hub).
 *
 * ../iot-edge/answer.ts calls a method and encodes its answer. `method` (method.ts) validates the payload, limits the
 * time, and turns a fault into an answer; statuses.ts maps fault codes to status codes. Work that takes longer than the
 * caller waits continues after the answer (proto/async/within.ts). The methods are in sync.ts, pause.ts, gc.ts,
 * accounts.ts and events.ts.
 */

/** The direct methods by name. @param status builds the current report of the layer */
export function directMethods(
  bus: Bus,
  log: Log,
  status: () => Promise<Record<string, unknown>>,
): ReadonlyMap<string, DirectMethod> {
  const nothing = Type.Object({}, { additionalProperties: false });
  return new Map<string, DirectMethod>([
    ['sync', syncMethod(bus, log, false)],
    ['resync', syncMethod(bus, log, true)],
    ['pause', pauseMethod(bus, log)],
    ['resume', resumeMethod(bus, log)],
    ['status', method(nothing, log, async () => ({ status: 200, payload: await status() }))],
    ['gc', gcMethod(bus, log)],
    ['deactivate', deactivateMethod(bus, log)],
    ['rotateToken', rotateMethod(bus, log)],
    ['events', eventsMethod(bus, log)],
  ]);
}
