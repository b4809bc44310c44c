import { within } from '#proto/async/within.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import { collectGarbage } from '#proto/content/maintenance.ts';
import { Type } from '#proto/contract/schema.ts';
import { type DirectMethod, method } from './method.ts';

/** Max wait for the result, in ms. */
const WAIT_MS = 20_000;

const Payload = Type.Object(
  {
    dryRun: Type.Optional(Type.Boolean({ description: 'true or false: whether to only count' })),
    wait: Type.Optional(
      Type.Boolean({ description: 'true or false: whether to wait until it has finished' }),
    ),
  },
  { additionalProperties: false },
);

/** Garbage collection: 200 with the result, 202 if it is still running. Faults: `busy`. */
export function gcMethod(bus: BusCaller, log: Log, waitMs = WAIT_MS): DirectMethod {
  return method(Payload, log, async ({ dryRun = false, wait = true }, signal) => {
    // No signal: it continues in storage after the answer.
    const work = bus.call(collectGarbage, { dryRun });
    const garbage = await within(work, wait ? waitMs : 1_000, signal);
    return garbage
      ? { status: 200, payload: garbage }
      : { status: 202, payload: { state: 'Running', dryRun } };
  });
}
